/** A note as the digest needs it, read from Markdown by whomever it was written. */
interface Note {
  readonly title: string;
  readonly source: string;
  /** What is said of the text, one item a point or paragraph. */
  readonly points: readonly string[];
  /** Lines of the form `Names: …`. */
  readonly facts: readonly string[];
}

export interface NoteEntry {
  readonly key: string;
  readonly value: string;
}

const CLOSING =
  "Composed by the rehearsal model: sentences chosen from the texts by a script, word for word. No language model took part.";

/**
 * A digest in Markdown: contents, then each text with its points and facts. When it would be longer than
 * `bytesMax` (as JSON) it keeps fewer points a text, then no facts, then titles only, and says so.
 */
export function digestOf(entries: readonly NoteEntry[], bytesMax: number): string {
  const notes = entries.map(readNote);
  const levels = [
    { points: Infinity, facts: true },
    { points: 3, facts: true },
    { points: 3, facts: false },
    { points: 1, facts: false },
    { points: 0, facts: false },
  ];
  let digest = "";
  for (const [index, level] of levels.entries()) {
    digest = write(notes, level.points, level.facts, index > 0);
    if (Buffer.byteLength(JSON.stringify(digest)) <= bytesMax) break;
  }
  return digest;
}

function readNote(entry: NoteEntry): Note {
  const points: string[] = [];
  const facts: string[] = [];
  let title = "";
  let source = entry.key.split("/").at(-1) ?? entry.key;
  for (const raw of entry.value.split("\n")) {
    const line = raw.trim();
    if (line === "") continue;
    if (line.startsWith("#") && title === "") title = line.replace(/^#+\s*/, "");
    else if (line.startsWith("Source: ")) source = line.slice("Source: ".length);
    else if (/^(?:Keywords|Names|Dates|Numbers): /.test(line)) facts.push(line);
    else points.push(line.replace(/^(?:[-*+]\s+|#+\s*)/, ""));
  }
  return { title: title === "" ? source : title, source, points, facts };
}

function write(notes: readonly Note[], pointsMax: number, withFacts: boolean, shortened: boolean): string {
  const lines = [`# Digest of ${notes.length} ${notes.length === 1 ? "text" : "texts"}`, ""];
  for (const [i, note] of notes.entries()) lines.push(`${i + 1}. ${note.title} (${note.source})`);
  if (pointsMax > 0) for (const [i, note] of notes.entries()) lines.push(...section(note, i + 1, pointsMax, withFacts));
  lines.push("", "---", "");
  if (shortened) lines.push("Shortened to fit into one answer of the model.", "");
  lines.push(CLOSING);
  return `${lines.join("\n")}\n`;
}

function section(note: Note, number: number, pointsMax: number, withFacts: boolean): string[] {
  const lines = ["", `## ${number}. ${note.title}`, "", `Source: ${note.source}`, ""];
  for (const point of note.points.slice(0, pointsMax)) lines.push(`- ${point}`);
  // Two spaces at the end keep the facts on lines of their own.
  if (withFacts && note.facts.length > 0)
    lines.push("", ...note.facts.map((fact) => `${fact.replace(": ", ":** ").replace(/^/, "**")}  `));
  return lines;
}
