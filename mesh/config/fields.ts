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

/** The two forms of each `textOr`, which its own schema does not show: for the published form of the fleet file. */
export const alternatives = new WeakMap<z.core.$ZodType, readonly [z.ZodType, z.ZodType]>();

/** One of two forms, told apart by whether a text stands there: the faults are those of the form that was meant. */
export const textOr = <Text extends z.ZodType, Other extends z.ZodType>(text: Text, other: Other) => {
  const either = z.unknown().transform((value, context): z.output<Text> | z.output<Other> => {
    const parsed = (typeof value === "string" ? text : other).safeParse(value, { reportInput: true });
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) context.issues.push({ ...issue, path: [...issue.path] } as never);
    return z.NEVER;
  });
  alternatives.set(either, [text, other]);
  return either;
};
