import type { Surroundings, TerminalInput } from "./surroundings.ts";
import { Failure } from "./failure.ts";

const SECRET_BYTES_MAX = 64 * 1024;
const [ENTER, RETURN, INTERRUPT, END, BACKSPACE, DELETE] = [0x0a, 0x0d, 0x03, 0x04, 0x08, 0x7f];

/**
 * Reads a value without showing it: from a terminal up to Enter with echo off, otherwise all of standard
 * input less one line end. The caller zeroes the returned bytes.
 */
export async function readSecret(
  prompt: string,
  surroundings: Pick<Surroundings, "stdin" | "stderr">,
): Promise<Buffer> {
  const { stdin, stderr } = surroundings;
  if (stdin.isTTY !== true) return withoutLineEnd(await readAll(stdin));
  stderr.write(prompt);
  stdin.setRawMode?.(true);
  try {
    return await readHidden(stdin);
  } finally {
    stdin.setRawMode?.(false);
    stdin.pause();
    stderr.write("\n");
  }
}

async function readAll(stdin: TerminalInput): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of stdin as AsyncIterable<Buffer>) {
    size += piece.length;
    if (size > SECRET_BYTES_MAX)
      throw new Failure("the value is too long", `a credential has at most ${SECRET_BYTES_MAX} bytes`);
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}

function withoutLineEnd(bytes: Buffer): Buffer {
  let end = bytes.length;
  if (bytes[end - 1] === ENTER) end--;
  if (bytes[end - 1] === RETURN) end--;
  return bytes.subarray(0, end);
}

function readHidden(stdin: TerminalInput): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const typed: number[] = [];
    const finish = (act: () => void): void => {
      stdin.off("data", onData);
      stdin.off("end", onEnd);
      act();
    };
    const onEnd = (): void => finish(() => resolve(Buffer.from(typed)));
    const onData = (piece: Buffer): void => {
      for (const byte of piece) {
        if (byte === INTERRUPT)
          return finish(() => reject(new Failure("nothing was entered", "run the command again")));
        if (byte === ENTER || byte === RETURN || byte === END) return onEnd();
        if (byte === BACKSPACE || byte === DELETE) dropCharacter(typed);
        else if (typed.length < SECRET_BYTES_MAX) typed.push(byte);
      }
    };
    stdin.on("data", onData);
    stdin.on("end", onEnd);
    stdin.resume();
  });
}

/** Removes the last character, which in UTF-8 ends in continuation bytes. */
function dropCharacter(typed: number[]): void {
  let byte = typed.pop();
  while (byte !== undefined && (byte & 0xc0) === 0x80) byte = typed.pop();
}
