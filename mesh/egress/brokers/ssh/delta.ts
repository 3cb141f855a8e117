/** Applies a delta (gitformat-pack(5)) to what it was made from. Undefined: it is broken, or what it makes is too long. */
export function applyDelta(base: Buffer, delta: Buffer, bytesMax: number): Buffer | undefined {
  const from = sizeAt(delta, 0);
  const to = sizeAt(delta, from.end);
  if (from.size !== base.length || to.size > bytesMax) return undefined;
  const made = Buffer.alloc(to.size);
  let at = to.end;
  let length = 0;
  while (at < delta.length) {
    const step = stepAt(base, delta, at);
    if (!step || length + step.bytes.length > made.length) return undefined;
    step.bytes.copy(made, length);
    length += step.bytes.length;
    at = step.end;
  }
  return length === made.length ? made : undefined;
}

interface Step {
  readonly bytes: Buffer;
  readonly end: number;
}

/** A copy from the base, or bytes of the delta's own. */
function stepAt(base: Buffer, delta: Buffer, begin: number): Step | undefined {
  const code = delta[begin] ?? 0;
  let at = begin + 1;
  if (code < 0x80) {
    const bytes = delta.subarray(at, at + code);
    return code === 0 || bytes.length < code ? undefined : { bytes, end: at + code };
  }
  let [offset, size] = [0, 0];
  for (let bit = 0; bit < 4; bit++) if (code & (1 << bit)) offset += (delta[at++] ?? 0) * 2 ** (8 * bit);
  for (let bit = 0; bit < 3; bit++) if (code & (16 << bit)) size += (delta[at++] ?? 0) * 2 ** (8 * bit);
  const bytes = base.subarray(offset, offset + (size || 0x10000));
  return at > delta.length || bytes.length < (size || 0x10000) ? undefined : { bytes, end: at };
}

function sizeAt(bytes: Buffer, begin: number): { readonly size: number; readonly end: number } {
  let size = 0;
  let at = begin;
  for (let scale = 1; at - begin < 7; scale *= 128) {
    const byte = bytes[at++] ?? 0;
    size += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
  }
  return { size, end: at };
}
