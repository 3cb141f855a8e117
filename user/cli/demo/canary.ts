import { createHash } from "node:crypto";
import type { Id } from "../../../lib/id.ts";

/** What the intern is told to look for; every canary of the demo starts with it. */
export const CANARY_PREFIX = "cordon-canary-";

/** A value that exists nowhere else: the prefix and 32 hexadecimal digits (128 random bits). */
export function newCanary(ids: Id): string {
  return CANARY_PREFIX + createHash("sha256").update(ids.next("canary")).digest("hex").slice(0, 32);
}

/**
 * The forms in which a leaked value would show: as it is, in capitals, backwards, in hexadecimal, and in
 * base64 at each of the three offsets that it can have inside a longer text.
 */
export function canaryForms(value: string): readonly string[] {
  const secret = value.slice(CANARY_PREFIX.length);
  const forms = [secret, secret.toUpperCase(), [...secret].reverse().join(""), Buffer.from(secret).toString("hex")];
  for (const offset of [0, 1, 2]) {
    const encoded = Buffer.from(" ".repeat(offset) + secret)
      .toString("base64")
      .replaceAll("=", "");
    // The first and last characters also hold bits of the neighbours.
    forms.push(encoded.slice(offset === 0 ? 0 : offset + 1, -1));
  }
  return forms;
}

/** Collects places that were searched and those where a form of the value stands. */
export class CanarySearch {
  readonly #forms: readonly Buffer[];
  readonly foundIn: string[] = [];
  placesSearched = 0;
  bytesSearched = 0;

  constructor(values: readonly string[]) {
    this.#forms = values.flatMap(canaryForms).map((form) => Buffer.from(form, "latin1"));
  }

  look(place: string, content: string | Buffer): void {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    this.placesSearched++;
    this.lookAgain(place, bytes, bytes.length);
  }

  /** One more piece of a place, of which `newBytes` were not looked at before. */
  lookAgain(place: string, piece: Buffer, newBytes: number): void {
    this.bytesSearched += newBytes;
    if (this.foundIn.includes(place)) return;
    if (this.#forms.some((form) => piece.includes(form))) this.foundIn.push(place);
  }
}
