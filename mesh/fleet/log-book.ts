import { appendFile, readFile, rename, stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import { printable } from "../../lib/text.ts";
import { limits } from "../../protocol/limits.ts";

/**
 * What a sandbox prints, kept in two files of bounded size. Hostile text: made printable line by line before it
 * is stored. Reading stops while a line is being written, so that a flood slows the sandbox and not the mesh.
 */
export class LogBook {
  readonly #path: string;
  #bytes: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Resolves when `output` has ended; never rejects: a log that cannot be written is not worth the mesh. */
  async follow(output: Readable): Promise<void> {
    let rest = "";
    try {
      for await (const chunk of output.setEncoding("utf8") as AsyncIterable<string>) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        if (rest.length > limits.sandbox.logLineBytesMax) {
          lines.push(rest);
          rest = "";
        }
        await this.#append(lines);
      }
    } catch {
      // The pipe broke with the sandbox; what came before it is kept.
    }
    if (rest !== "") await this.#append([rest]);
  }

  /** A full disk, or a folder that somebody has removed, costs lines and nothing else. */
  async #append(lines: readonly string[]): Promise<void> {
    await this.#write(lines).catch(() => {
      this.#bytes = undefined;
    });
  }

  /** The last `count` lines, oldest first. */
  async tail(count: number): Promise<string[]> {
    const texts = await Promise.all(
      [this.#path + OLDER, this.#path].map((path) => readFile(path, "utf8").catch(() => "")),
    );
    const lines = texts.join("").split("\n").slice(0, -1);
    return lines.slice(-count);
  }

  async #write(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    const text = lines.map((line) => `${printable(line).slice(0, limits.sandbox.logLineBytesMax)}\n`).join("");
    this.#bytes ??= await stat(this.#path).then(
      (found) => found.size,
      () => 0,
    );
    if (this.#bytes > limits.sandbox.logBytesMax / 2) {
      await rename(this.#path, this.#path + OLDER);
      this.#bytes = 0;
    }
    this.#bytes += Buffer.byteLength(text);
    await appendFile(this.#path, text, { mode: 0o600 });
  }
}

const OLDER = ".1";
