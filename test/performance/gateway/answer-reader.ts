import type { Socket } from "node:net";

const HEAD_END = "\r\n\r\n";

/** Reads the answers of one connection, one at a time; each must have status 200 and end with `ending`. */
export class AnswerReader {
  readonly #ending: string;
  #head = "";
  #firstAtMs = 0;
  /** Bytes of the body still to come; -1: chunks. */
  #missing = 0;
  #inBody = false;
  /** The last bytes of the connection, over the borders of what was read at once. */
  #tail = "";
  #waiting: PromiseWithResolvers<{ readonly firstAtMs: number }> | undefined;

  constructor(socket: Socket, ending: string) {
    this.#ending = ending;
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#waiting?.reject(error));
    socket.on("close", () => this.#waiting?.reject(new Error(`closed within an answer: ${this.#head}${this.#tail}`)));
  }

  next(): Promise<{ readonly firstAtMs: number }> {
    this.#waiting = Promise.withResolvers();
    return this.#waiting.promise;
  }

  #read(chunk: Buffer): void {
    if (!this.#inBody) {
      const text = this.#head + chunk.toString("latin1");
      const end = text.indexOf(HEAD_END);
      if (end < 0) return void (this.#head = text);
      const body = chunk.subarray(chunk.length - (text.length - end - HEAD_END.length));
      const head = text.slice(0, end);
      if (!head.startsWith("HTTP/1.1 200 ")) return this.#waiting?.reject(new Error(text.slice(0, 600)));
      const length = /^content-length: *(\d+)\r?$/im.exec(head)?.[1];
      this.#missing = length === undefined ? -1 : Number(length);
      [this.#inBody, this.#head, this.#tail, this.#firstAtMs] = [true, "", "", 0];
      if (body.length > 0) this.#body(body);
      return;
    }
    this.#body(chunk);
  }

  #body(bytes: Buffer): void {
    if (this.#firstAtMs === 0) this.#firstAtMs = performance.now();
    const end = `${this.#ending}${this.#missing < 0 ? "\r\n0\r\n\r\n" : ""}`;
    this.#tail = (this.#tail + bytes.toString("latin1", Math.max(0, bytes.length - 64))).slice(-64);
    if (this.#missing >= 0) this.#missing -= bytes.length;
    const done =
      this.#missing === 0 ||
      (this.#missing < 0 && this.#tail.endsWith(HEAD_END) && this.#tail.endsWith("\r\n0\r\n\r\n"));
    if (!done) return;
    // Writers are free to put the last chunk's border anywhere, so only the text before it is looked for.
    const whole = this.#tail.endsWith(end) || this.#tail.includes(this.#ending);
    this.#inBody = false;
    if (whole) this.#waiting?.resolve({ firstAtMs: this.#firstAtMs });
    else this.#waiting?.reject(new Error(`not the whole answer: ${this.#tail}`));
  }
}
