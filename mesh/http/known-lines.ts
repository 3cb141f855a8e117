import { addField, noFields, readLine, type Fields } from "./fields.ts";

/** One line of the head that is known. */
interface KnownLine {
  /** The line and its end; undefined: it says something else each time. */
  text: string | undefined;
  /** Up to its colon, as it is written. */
  readonly lead: string;
  readonly name: string;
  readonly value: string;
}

/**
 * The lines of a head, for those that come after it from the same place: most of them say the same again in the same
 * order, or change a date and a number. The same text is the same field. All that is kept is of one head, so that no
 * more than that stays in memory, whatever comes.
 */
export class KnownLines {
  #lines: readonly KnownLine[] = [];

  /** What `readFields` reads, and nothing else. */
  read(text: string, from: number, countMax: number): Fields | undefined {
    const fields = noFields();
    let count = 0;
    let next = 0;
    for (let at = from; at < text.length;) {
      if (++count > countMax) return undefined;
      const known = this.#lines[next];
      if (known?.text !== undefined && isAt(text, at, known.text)) {
        addField(fields, known.name, known.value);
        at += known.text.length;
        next++;
        continue;
      }
      const named = known !== undefined && isAt(text, at, known.lead);
      const line = readLine(text, at, named ? known.name : undefined);
      if (!line) return undefined;
      addField(fields, line.name, line.value);
      at = line.end;
      if (!named) continue;
      known.text = undefined;
      next++;
    }
    if (next * 2 < count) this.#lines = linesOf(text, from);
    return fields;
  }
}

/** A slice and a comparison of whole words: `startsWith` goes character by character. */
const isAt = (text: string, at: number, wanted: string): boolean => text.slice(at, at + wanted.length) === wanted;

/** Of a head that was read. */
function linesOf(text: string, from: number): readonly KnownLine[] {
  const lines: KnownLine[] = [];
  for (let at = from, line; (line = readLine(text, at)); at = line.end)
    lines.push({
      text: text.slice(at, line.end),
      lead: text.slice(at, at + line.name.length + 1),
      name: line.name,
      value: line.value,
    });
  return lines;
}
