import { z } from "zod";
import { alternatives } from "./fields.ts";
import { FleetForm } from "./schema.ts";

/** The form of a fleet file for editors, as `docs/fleet.schema.json` holds it. */
export function publishedSchema(): object {
  const { $schema, ...rest } = published(FleetForm, "ref");
  return { $schema, title: "Cordon fleet, version 1", ...rest };
}

/** What stands inside another form brings no `$defs` of its own: a reference means those of the whole. */
function published(form: z.ZodType, reused: "ref" | "inline"): z.core.JSONSchema.BaseSchema {
  return z.toJSONSchema(form, {
    io: "input",
    reused,
    unrepresentable: "any",
    override({ zodSchema, jsonSchema }) {
      const either = alternatives.get(zodSchema);
      if (!either) return;
      jsonSchema.anyOf = either.map((each) => {
        const { $schema: _, ...inner } = published(each, "inline");
        return inner;
      });
    },
  });
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(publishedSchema(), null, 2)}\n`);
