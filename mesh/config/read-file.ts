import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { err, ok, type Result } from "../../lib/result.ts";

/** Why a file was not read: a code of the system, or one of these. */
type ReadFault = "not a file" | "too large" | (string & {});

/**
 * A file that somebody else may have put there, a link among them: what is no file is not waited for, and what grows or never ends is
 * read so far only.
 */
export function readRegular(path: string, bytesMax: number): Result<Buffer, ReadFault> {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    return err((error as NodeJS.ErrnoException).code ?? "unknown error");
  }
  try {
    const info = fstatSync(fd);
    if (!info.isFile()) return err("not a file");
    if (info.size > bytesMax) return err("too large");
    const bytes = Buffer.alloc(bytesMax + 1);
    let length = 0;
    for (let read = 1; read > 0 && length <= bytesMax; length += read)
      read = readSync(fd, bytes, length, bytes.length - length, null);
    return length > bytesMax ? err("too large") : ok(bytes.subarray(0, length));
  } catch (error) {
    return err((error as NodeJS.ErrnoException).code ?? "unknown error");
  } finally {
    closeSync(fd);
  }
}
