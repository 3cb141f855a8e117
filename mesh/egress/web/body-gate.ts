import { Transform, type Readable, type TransformCallback } from "node:stream";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
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

/** The whole of a body. */
export async function hold(body: Readable): Promise<Result<Buffer, Refusal>> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limits.web.bodyHeldBytesMax)
        return err(
          refusal(
            "too_large",
            `a body in which a credential may stand has at most ${limits.web.bodyHeldBytesMax} bytes`,
            "send less, or put the credential in a header",
          ),
        );
      chunks.push(chunk);
    }
  } catch {
    return err(refusal("malformed", "the body ended early", "send the whole body"));
  }
  return ok(Buffer.concat(chunks, bytes));
}

/** What is told of a body that is not sent on. */
export function bodyRefusal(error: Error): Refusal {
  const why = error instanceof BodyRefused ? error.why : "broken";
  if (error instanceof BodyRefused && error.objection) return error.objection;
  if (why === "placeholder")
    return refusal(
      "denied",
      "the body holds a placeholder where no credential may stand",
      "put it in the place of its binding",
    );
  if (why === "budget")
    return refusal(
      "budget_exhausted",
      "no bytes are left in the budget for this body",
      "raise the budget, or send less",
    );
  return refusal("malformed", "the body ended early", "send the whole body");
}
