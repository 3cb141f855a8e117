import { Transform, type TransformCallback } from "node:stream";
import { limits } from "../../../protocol/limits.ts";
import type { Refusal } from "../../../protocol/refusal.ts";
import type { Pass } from "./warden.ts";

/** Why a body is not sent on; `objection` came up while it was. */
export class BodyRefused extends Error {
  readonly why: "placeholder" | "budget" | "objection";
  readonly objection: Refusal | undefined;

  constructor(why: BodyRefused["why"], objection?: Refusal) {
    super(why);
    this.why = why;
    this.objection = objection;
  }
}

/**
 * Lets a body through piece by piece, as long as nothing has come to stand against it: what is not known to be paid for
 * is reserved first, and a placeholder in it stops it, as it would go out unreplaced.
 */
export class BodyGate extends Transform {
  readonly #placeholders: readonly string[];
  readonly #pass: Pick<Pass, "more" | "objection">;
  #paid: number;
  #tail = "";
  sent = 0;

  constructor(paidBytes: number, placeholders: readonly string[], pass: Pick<Pass, "more" | "objection">) {
    super();
    this.#paid = paidBytes;
    this.#placeholders = placeholders;
    this.#pass = pass;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    if (this.#holdsPlaceholder(chunk)) return done(new BodyRefused("placeholder"));
    const objection = this.#pass.objection();
    if (objection) return done(new BodyRefused("objection", objection));
    this.sent += chunk.length;
    const missing = this.sent - this.#paid;
    if (missing <= 0) return done(null, chunk);
    const slice = Math.max(missing, limits.web.bodySliceBytes);
    this.#pass.more(slice).then(
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
