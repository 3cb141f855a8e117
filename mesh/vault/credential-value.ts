import { limits } from "../../protocol/limits.ts";

/**
 * What a value must be, or undefined when it is. A credential travels in an HTTP header (RFC 9110 §5.5): visible ASCII
 * only, so that it cannot add a header. The words never repeat the value.
 */
export function faultOfValue(bytes: Uint8Array): string | undefined {
  const { valueBytesMin, valueBytesMax } = limits.credential;
  if (bytes.length < valueBytesMin)
    return `a credential has at least ${valueBytesMin} characters: shorter ones cannot be kept out of answers`;
  if (bytes.length > valueBytesMax) return `a credential has at most ${valueBytesMax} characters`;
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("-----BEGIN ") === 0)
    return "of keys only private ones in OpenSSH's own form are kept: `ssh-keygen -p -f FILE` makes one of it";
  if (bytes.some((byte) => byte < 0x21 || byte > 0x7e))
    return "a credential holds visible ASCII characters only, without spaces or line ends";
  return undefined;
}

const [BEGIN, END] = ["-----BEGIN OPENSSH PRIVATE KEY-----", "-----END OPENSSH PRIVATE KEY-----"];

/**
 * Of a private key as `ssh-keygen` writes it, what stands between its first and its last line, in one line: it is kept
 * like any other value. Undefined: it is none.
 */
export function bodyOfKey(bytes: Uint8Array): Uint8Array | undefined {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = whole.lastIndexOf(END);
  if (whole.indexOf(BEGIN) !== 0 || end < BEGIN.length) return undefined;
  const isSpace = (byte: number): boolean => byte === 0x0a || byte === 0x0d || byte === 0x20;
  if (!whole.subarray(end + END.length).every(isSpace)) return undefined;
  return Uint8Array.from(whole.subarray(BEGIN.length, end).filter((byte) => !isSpace(byte)));
}
