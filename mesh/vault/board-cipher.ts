import { createCipheriv, createDecipheriv, createSecretKey, hash, hkdfSync, timingSafeEqual } from "node:crypto";
import type { ValueCipher } from "../blackboard/value-cipher.ts";
import { KEY_BYTES, type RandomBytes } from "./envelope.ts";
import type { MasterKey } from "./master-key.ts";
import { openFirstForm } from "./board-cipher-first.ts";

/** Tells what was sealed so, and how. */
const MARK = "s2:";
const COUNTER_BYTES = 16;
/** Of the counter, drawn anew for each stretch of keystream; the rest counts its blocks. */
const PREFIX_BYTES = 12;
const TAG_BYTES = 16;
const DIGEST_BYTES = 32;
const HASH_BLOCK_BYTES = 64;
const LENGTH_BYTES = 4;
/** Of keystream, at once: a context of node:crypto costs more than the row of a short value. */
const STRETCH_BYTES = 65_536;

/**
 * Seals the values of the board for the disk, each by itself and bound to key and version: AES-256-CTR (NIST SP 800-38A),
 * then HMAC-SHA-256 (RFC 2104), cut to 16 bytes, over place, counter and ciphertext, under two keys that outlive a change
 * of the master key. `s2:` and base64 of counter (16 bytes) ‖ ciphertext ‖ tag (16). No block of the keystream serves
 * twice: 2^32 stretches with random prefixes are as safe as 2^32 random nonces of GCM.
 */
export function boardCipher({ lasting }: Pick<MasterKey, "lasting">, random: RandomBytes): ValueCipher {
  const derived = lasting.reveal((bytes) =>
    Buffer.from(hkdfSync("sha256", bytes, Buffer.alloc(0), "cordon/board/2", 2 * KEY_BYTES)),
  );
  const secret = createSecretKey(derived.subarray(0, KEY_BYTES));
  const tagger = new Tagger(derived.subarray(KEY_BYTES));
  derived.fill(0);
  const openFirst = openFirstForm(lasting);
  let stretch: Uint8Array = new Uint8Array();
  let counter = Buffer.alloc(COUNTER_BYTES);
  let used = 0;
  const draw = (bytes: number): void => {
    counter = Buffer.concat([random(PREFIX_BYTES), Buffer.alloc(COUNTER_BYTES - PREFIX_BYTES)]);
    stretch = createCipheriv("aes-256-ctr", secret, counter).update(Buffer.alloc(bytes));
    used = 0;
  };
  return {
    seal(value, at) {
      const { bytes, from } = tagger.begin(at, COUNTER_BYTES + 3 * value.length + TAG_BYTES);
      const body = from + COUNTER_BYTES;
      const length = bytes.write(value, body, "utf8");
      if (used + length > stretch.length) draw(Math.max(STRETCH_BYTES, length));
      counter.writeUInt32BE(used / COUNTER_BYTES, PREFIX_BYTES);
      bytes.set(counter, from);
      for (let n = 0; n < length; n++) bytes[body + n] = (bytes[body + n] ?? 0) ^ (stretch[used + n] ?? 0);
      // The next value begins with a block of its own, also after an empty one.
      used += Math.max(1, Math.ceil(length / COUNTER_BYTES)) * COUNTER_BYTES;
      bytes.write(tagger.tag(body + length), body + length, "hex");
      return MARK + bytes.toString("base64", from, body + length + TAG_BYTES);
    },
    open(sealed, at) {
      if (!sealed.startsWith(MARK)) return openFirst(sealed, at);
      const box = Buffer.from(sealed.slice(MARK.length), "base64");
      if (box.length < COUNTER_BYTES + TAG_BYTES) throw new Error("a sealed value of the board is too short");
      const tagged = box.subarray(0, -TAG_BYTES);
      const { bytes, from } = tagger.begin(at, tagged.length);
      bytes.set(tagged, from);
      const tag = Buffer.from(tagger.tag(from + tagged.length), "hex");
      if (!timingSafeEqual(tag, box.subarray(-TAG_BYTES)))
        throw new Error("a sealed value of the board does not belong to its place");
      const opener = createDecipheriv("aes-256-ctr", secret, tagged.subarray(0, COUNTER_BYTES));
      return opener.update(tagged.subarray(COUNTER_BYTES)).toString("utf8");
    },
  };
}

/** HMAC of what stands in one buffer after a place, by one-shot digests: two of them cost a sixth of a context. */
class Tagger {
  /** The key with the inner padding; what is tagged follows. */
  #bytes: Buffer;
  /** The key with the outer padding; the inner digest follows. */
  readonly #outer = Buffer.alloc(HASH_BLOCK_BYTES + DIGEST_BYTES);

  constructor(key: Uint8Array) {
    this.#bytes = Buffer.alloc(STRETCH_BYTES);
    for (let at = 0; at < HASH_BLOCK_BYTES; at++) {
      this.#bytes[at] = (key[at] ?? 0) ^ 0x36;
      this.#outer[at] = (key[at] ?? 0) ^ 0x5c;
    }
  }

  /** What is bound to a place stands in `bytes` at `from`; the length of the place before it tells where the place ends. */
  begin({ key, version }: { readonly key: string; readonly version: number }, length: number) {
    const place = `board/${version}/${key}`;
    const room = HASH_BLOCK_BYTES + LENGTH_BYTES + 3 * place.length + length;
    if (room > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes.subarray(0, HASH_BLOCK_BYTES)], room);
    const bytes = this.#bytes;
    const placeBytes = bytes.write(place, HASH_BLOCK_BYTES + LENGTH_BYTES, "utf8");
    bytes.writeUInt32BE(placeBytes, HASH_BLOCK_BYTES);
    return { bytes, from: HASH_BLOCK_BYTES + LENGTH_BYTES + placeBytes };
  }

  /** Of all up to `to`, in hexadecimal. */
  tag(to: number): string {
    this.#outer.write(hash("sha256", this.#bytes.subarray(0, to), "hex"), HASH_BLOCK_BYTES, "hex");
    return hash("sha256", this.#outer, "hex").slice(0, 2 * TAG_BYTES);
  }
}
