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
  if (bytes.some((byte) => byte < 0x21 || byte > 0x7e))
    return "a credential holds visible ASCII characters only, without spaces or line ends";
  return undefined;
}
