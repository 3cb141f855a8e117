import { z } from "zod";
import { WorkflowForm } from "./form.ts";

/** The form of a workflow file for editors, as `docs/workflow.schema.json` holds it. */
export function publishedSchema(): object {
  const { $schema, ...rest } = z.toJSONSchema(WorkflowForm, { io: "input", unrepresentable: "any", reused: "ref" });
  return { $schema, title: "Cordon workflow, version 1", ...rest };
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(publishedSchema(), null, 2)}\n`);
