import { Transform, type TransformCallback } from "node:stream";
import { limits } from "../../../protocol/limits.ts";

/** Why a body is not sent on. */
export class BodyRefused extends Error {
  readonly why: "placeholder" | "budget";

  constructor(why: BodyRefused["why"]) {
    super(why);
    this.why = why;
  }
}

/**
 * Lets a body through piece by piece: what is not known to be paid for is reserved first, and a placeholder in it stops
 * it, as it would go out unreplaced.
 */
export class BodyGate extends Transform {
  readonly #placeholders: readonly string[];
  readonly #more: (bytes: number) => Promise<boolean>;
  #paid: number;
  #tail = "";
  sent = 0;

  constructor(paidBytes: number, placeholders: readonly string[], more: (bytes: number) => Promise<boolean>) {
    super();
    this.#paid = paidBytes;
    this.#placeholders = placeholders;
    this.#more = more;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#holdsPlaceholder(chunk)) return done(new BodyRefused("placeholder"));
    this.sent += chunk.length;
    const missing = this.sent - this.#paid;
    if (missing <= 0) return done(null, chunk);
    const slice = Math.max(missing, limits.web.bodySliceBytes);
    this.#more(slice).then(
      (granted) => {
        this.#paid += slice;
        if (granted) done(null, chunk);
        else done(new BodyRefused("budget"));
      },
      (error: unknown) => done(error as Error),
    );
  }

  #holdsPlaceholder(chunk: Buffer): boolean {
    if (this.#placeholders.length === 0) return false;
    const longest = Math.max(...this.#placeholders.map((each) => each.length));
    const seam = this.#tail + chunk.toString("latin1", 0, longest);
    this.#tail = (chunk.length >= longest ? "" : this.#tail).concat(
      chunk.toString("latin1", Math.max(0, chunk.length - longest)),
    );
    this.#tail = this.#tail.slice(-longest);
    return this.#placeholders.some((each) => seam.includes(each) || chunk.includes(each));
  }
}
