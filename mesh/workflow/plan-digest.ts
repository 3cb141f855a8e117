import { createHash } from "node:crypto";
import { canonicalJson, type Json } from "../../lib/json.ts";
import type { Plan } from "./definition.ts";

/** SHA-256 (hex) of the canonical JSON of all of a plan but its digest and its findings. */
export function digestOfPlan(plan: Omit<Plan, "digest" | "findings"> & Partial<Plan>): string {
  const { digest: _digest, findings: _findings, ...rest } = plan;
  return digestOf(rest as unknown as Json);
}

export const digestOf = (value: Json): string => createHash("sha256").update(canonicalJson(value)).digest("hex");
