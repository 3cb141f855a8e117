import { z } from "zod";

/**
 * A list that is read up to its first fault. The schema's own would describe all of them, and of a body that is nothing but
 * faults, of which one is told, that takes seconds in which nobody else has the loop.
 */
export const listOf = <T extends z.ZodType>(item: T, max = Infinity, min = 0) =>
  z
    .array(z.unknown())
    .min(min)
    .max(max)
    .transform((items, context): z.output<T>[] => {
      const read: z.output<T>[] = [];
      for (let at = 0; at < items.length; at++) {
        const one = item.safeParse(items[at]);
        const [issue] = one.success ? [] : one.error.issues;
        if (issue) {
          // As the schema's own lists: of a union, who fits but for a name that is not known is meant, and its fault is told.
          const goesOn = issue.code === "unrecognized_keys";
          const told = { ...issue, path: [at, ...issue.path], input: items[at], continue: goesOn };
          context.issues.push(told as z.core.$ZodRawIssue);
          return z.NEVER;
        }
        read.push(one.data as z.output<T>);
      }
      return read;
    });
