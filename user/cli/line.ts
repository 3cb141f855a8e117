/** Colours by meaning. */
export type Tone = "good" | "bad" | "warn" | "faint" | "strong" | "accent";
export interface Tinted {
  readonly text: string;
  readonly tone: Tone;
}
/** What can be printed. Every part is made printable on its way out, so that no text from an agent steers the terminal. */
export type Part = string | number | Tinted;
export type Line = Part | readonly Part[];

export const tint = (tone: Tone, text: string | number): Tinted => ({ tone, text: String(text) });

export const partsOf = (line: Line): readonly Part[] => (isParts(line) ? line : [line]);
const isParts = (line: Line): line is readonly Part[] => Array.isArray(line);
