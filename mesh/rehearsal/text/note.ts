import { createHash } from "node:crypto";
import { limits } from "../../../protocol/limits.ts";
import { extract, type Extract } from "./extract.ts";

const SENTENCES_MAX = 5;

/** Notes by the hash of their text: a conversation is read anew at every turn, its texts stay the same. */
const remembered = new Map<string, string>();

/**
 * A reader's note in Markdown: title, source, the central sentences as a list, then what can be looked up.
 * Reads the first `extractCharsMax` characters and says so.
 */
export function noteOf(content: string, path: string): string {
  const key = createHash("sha256").update(path).update("\0").update(content).digest("hex");
  const known = remembered.get(key);
  if (known !== undefined) return known;
  const read = content.slice(0, limits.rehearsal.extractCharsMax);
  const note = write(extract(read, SENTENCES_MAX), path, read.length < content.length);
  const oldest = remembered.keys().next();
  if (remembered.size >= limits.rehearsal.notesRememberedMax && !oldest.done) remembered.delete(oldest.value);
  remembered.set(key, note);
  return note;
}

function write(found: Extract, path: string, cut: boolean): string {
  const lines = [
    `# ${found.title ?? path}`,
    "",
    `Source: ${path}, ${found.words} words${cut ? ` in the part that was read` : ""}`,
    "",
  ];
  if (found.sentences.length === 0) lines.push("- (no sentences were found in this text)");
  for (const sentence of found.sentences) lines.push(`- ${sentence}`);
  lines.push("");
  for (const fact of ["keywords", "names", "dates", "numbers"] as const) {
    const values = found[fact];
    if (values.length > 0) lines.push(`${fact[0]?.toUpperCase()}${fact.slice(1)}: ${values.join(" · ")}`);
  }
  return `${lines.join("\n").trimEnd()}\n`;
}
