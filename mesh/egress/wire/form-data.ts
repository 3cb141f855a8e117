import { setImmediate as nextTurn } from "node:timers/promises";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";

/** One part of a form: a field (UTF-8), or a file under whatever name. */
export interface FormPart {
  readonly name: string;
  readonly isFile: boolean;
  readonly content: Buffer;
}

/**
 * multipart/form-data (RFC 7578, RFC 2046 §5.1), of which only the plainest spelling is read: no text before the first
 * part or after the last, no white space after a boundary, no folded line, no head besides the two of a form. The
 * boundary stands nowhere but between parts, so that no reader can find others. The error says what is wrong.
 */
export async function readFormData(contentType: string, body: Buffer): Promise<Result<readonly FormPart[], string>> {
  const boundary = boundaryOf(contentType);
  if (boundary === undefined) return err("the type is not `multipart/form-data; boundary=...`");
  const { partsMax, fieldBytesMax } = limits.sound;
  const parts: FormPart[] = [];
  const mark = Buffer.from(boundary, "latin1");
  // As if a line had ended before the first one, each boundary is a line.
  let at = DASHES.length + mark.length;
  if (body.subarray(0, at).indexOf(mark) !== DASHES.length || !body.subarray(0, DASHES.length).equals(DASHES))
    return err("the body does not begin with its boundary");
  for (;;) {
    const rest = body.subarray(at, at + 2);
    if (rest.equals(DASHES)) {
      const after = body.subarray(at + 2);
      return after.length === 0 || after.equals(LINE_END) ? ok(parts) : err("there is text after the last part");
    }
    if (!rest.equals(LINE_END)) return err("a boundary is not a line of its own");
    if (parts.length >= partsMax) return err(`the form has more than ${partsMax} parts`);
    const next = await placeOf(mark, body, at);
    if (next < 0) return err("the last boundary is missing");
    const contentEnd = next - DASHES.length - LINE_END.length;
    if (contentEnd < at + 2 || !body.subarray(contentEnd, next).equals(LINE_END_DASHES))
      return err("the boundary stands inside a part");
    const part = partOf(body.subarray(at + LINE_END.length, contentEnd));
    if (!part.ok) return part;
    if (parts.some(({ name }) => name === part.value.name)) return err(`\`${part.value.name}\` is there twice`);
    if (!part.value.isFile && part.value.content.length > fieldBytesMax)
      return err(`\`${part.value.name}\` has more than ${fieldBytesMax} bytes`);
    parts.push(part.value);
    at = next + mark.length;
  }
}

/**
 * Where the mark stands next; -1: nowhere. A search that leaps as far as it can leaps one byte at a time where the text is made for
 * it: megabytes of such a text must not keep everybody else waiting.
 */
async function placeOf(mark: Buffer, body: Buffer, from: number): Promise<number> {
  for (let at = from; ; at += SEARCHED_PER_TURN_BYTES) {
    const end = at + SEARCHED_PER_TURN_BYTES;
    const found = body.subarray(at, end + mark.length - 1).indexOf(mark);
    if (found >= 0) return at + found;
    if (end >= body.length) return -1;
    await nextTurn();
  }
}

const SEARCHED_PER_TURN_BYTES = 32 * 1_024;
const DASHES = Buffer.from("--");
const LINE_END = Buffer.from("\r\n");
const LINE_END_DASHES = Buffer.from("\r\n--");
const HEAD_END = Buffer.from("\r\n\r\n");

/** RFC 2046 §5.1.1, without the characters that no client uses. */
const TYPE = /^multipart\/form-data; ?boundary=(?:([A-Za-z0-9'+_.-]{1,70})|"([A-Za-z0-9'()+_,./:=?-]{1,70})")$/i;

function boundaryOf(contentType: string): string | undefined {
  const [, bare, quoted] = contentType.length > 256 ? [] : (TYPE.exec(contentType) ?? []);
  return bare ?? quoted;
}

function partOf(bytes: Buffer): Result<FormPart, string> {
  const { partHeadBytesMax } = limits.sound;
  const headEnd = bytes.subarray(0, partHeadBytesMax + HEAD_END.length).indexOf(HEAD_END);
  if (headEnd < 0) return err(`a part has no head of at most ${partHeadBytesMax} bytes`);
  const head = textOf(bytes.subarray(0, headEnd));
  if (head === undefined) return err("the head of a part is not UTF-8");
  const [first = "", second, ...more] = head.split("\r\n");
  const [disposition, type] = DISPOSITION.test(first) ? [first, second] : [second ?? "", first];
  const [, name, fileName] = DISPOSITION.exec(disposition) ?? [];
  if (name === undefined || more.length > 0 || (type !== undefined && !CONTENT_TYPE.test(type)))
    return err('a part has a head other than `Content-Disposition: form-data; name="..."` and `Content-Type`');
  const content = bytes.subarray(headEnd + HEAD_END.length);
  return ok({ name, isFile: fileName !== undefined, content });
}

/** RFC 7578 §4.2. A name that would have to be escaped, or a second one in another coding, is not read. */
const DISPOSITION =
  /^[Cc]ontent-[Dd]isposition: form-data; name="([A-Za-z0-9_[\].-]{1,64})"(?:; filename="([^"\\\p{Cc}]{1,255})")?$/u;
const CONTENT_TYPE = /^content-type: [a-z0-9.+-]{1,64}\/[a-z0-9.+-]{1,64}(?:; ?charset="?utf-8"?)?$/i;

/** Undefined: not UTF-8. A mark of the byte order is a character as any other. */
export function textOf(bytes: Buffer): string | undefined {
  try {
    return UTF8.decode(bytes);
  } catch {
    return undefined;
  }
}
const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** In no text and in no sound that is sent on (`widened` of wave.ts): where one holds it, the form is not written. */
const BOUNDARY = "cordon-form-7d0f1c5ab94e42738f6b";
export const FORM_TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

/** A form in the same plain spelling, with one file in it; undefined: a field holds the boundary. */
export function writeFormData(fields: Readonly<Record<string, string>>, file: Buffer): Buffer | undefined {
  const pieces = Object.entries(fields).map(
    ([name, value]) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  if (Object.values(fields).some((value) => value.includes(BOUNDARY))) return undefined;
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="sound.wav"\r\nContent-Type: audio/wav\r\n\r\n`;
  return Buffer.concat([Buffer.from(pieces.join("") + head), file, Buffer.from(`\r\n--${BOUNDARY}--\r\n`)]);
}
