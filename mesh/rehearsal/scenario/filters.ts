import { limits } from "../../../protocol/limits.ts";
import { digestOf, type NoteEntry } from "../text/digest.ts";
import { noteOf } from "../text/note.ts";
import { slug } from "../text/slug.ts";

/** What a filter may know besides its value. */
export interface FilterSurroundings {
  /** Room for the answer, in bytes; what is composed should fit. */
  readonly roomBytes: number;
}

type Filter = (value: unknown, surroundings: FilterSurroundings) => unknown;

/** The closed set of what a template can do to a value. A value of the wrong form gives an empty text. */
const filters = {
  /** `{path, content}` or a text → a note in Markdown. */
  extract: (value) => {
    if (typeof value === "string") return noteOf(value, "text");
    return isRecord(value) && typeof value["content"] === "string"
      ? noteOf(value["content"], asText(value["path"] ?? "text"))
      : "";
  },
  /** A path → one segment of a board key. */
  slug: (value) => (typeof value === "string" ? slug(value) : ""),
  /** A list of `{key, value}` notes → a digest in Markdown. */
  digest: (value, { roomBytes }) => digestOf(Array.isArray(value) ? value.filter(isNote) : [], roomBytes),
  json: (value) => JSON.stringify(value ?? null),
  length: (value) => (Array.isArray(value) || typeof value === "string" ? value.length : 0),
  /** A list of texts → one line each. */
  bullets: (value) => (Array.isArray(value) ? value.map((item) => `- ${asText(item)}`).join("\n") : ""),
  commas: (value) => (Array.isArray(value) ? value.map(asText).join(", ") : ""),
  /** A text with `count N` in it → exactly N tokens of four bytes each, `000 001 002 …`; without it, 16. */
  count: (value) =>
    tokens(Math.min(numberIn(/\bcount {1,3}(\d{1,9})\b/i, asText(value)) ?? 16, limits.rehearsal.countTokensMax)),
} as const satisfies Record<string, Filter>;

export type FilterName = keyof typeof filters;
export const filterNames = Object.keys(filters) as readonly FilterName[];
export const isFilterName = (name: string): name is FilterName => Object.hasOwn(filters, name);

export const applyFilter = (name: FilterName, value: unknown, surroundings: FilterSurroundings): unknown =>
  (filters[name] as Filter)(value, surroundings);

/** How a value stands inside a text. */
export function asText(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The whole number that the first group of `form` finds in a text, if it finds one. */
export function numberIn(form: RegExp, text: string): number | undefined {
  const match = form.exec(text);
  return match ? Number(match[1]) : undefined;
}

/** Three base-36 digits and a space: one token each by the rule of `tokens.ts`. */
function tokens(count: number): string {
  let text = "";
  for (let i = 0; i < count; i++) text += `${(i % 46_656).toString(36).padStart(3, "0")} `;
  return text;
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
const isNote = (value: unknown): value is NoteEntry =>
  isRecord(value) && typeof value["key"] === "string" && typeof value["value"] === "string";
