import { z } from "zod";
import type { Result } from "../../lib/result.ts";
import { parseBytes, parseCount, parseDuration, parseUsd } from "../../lib/units.ts";

/** A scalar written with a unit; YAML may already have read it as a number. */
const measured = (parse: (text: string) => Result<number, string>) =>
  z.union([z.string(), z.number()]).transform((value, context) => {
    const parsed = parse(String(value));
    if (parsed.ok) return parsed.value;
    context.addIssue({ code: "custom", message: parsed.error });
    return z.NEVER;
  });

export const Bytes = measured(parseBytes);
export const Duration = measured(parseDuration);
export const Count = measured(parseCount);
/** US dollars in the file, micro-USD here. */
export const Usd = measured(parseUsd);
