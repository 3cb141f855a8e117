import { isIPv4, isIPv6 } from "node:net";
import { domainToASCII, domainToUnicode } from "node:url";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";

/** `host:port` in its one canonical spelling: a name in lower case, or an address without brackets. */
export interface Authority {
  readonly host: string;
  readonly port: number;
  /** The host is an address itself. */
  readonly literal: boolean;
}

const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const PORT = /^[1-9][0-9]{0,4}$/;

/**
 * Reads `host[:port]` (RFC 9112 §3.2, RFC 3986 §3.2) in the only spelling that every parser reads in the same way.
 * `port` is that of a text without one; undefined = it must have one. The error says what is wrong with it.
 */
export function parseAuthority(text: string, port?: number): Result<Authority, string> {
  if (text.length === 0) return err("it is empty");
  if (text.length > limits.web.authorityCharsMax) return err("it is too long");
  if (!/^[\x21-\x7e]+$/.test(text)) return err("it holds characters beyond visible ASCII: write the name in punycode");
  if (/[@/?#\\%]/.test(text)) return err("it holds user info, a path or an escape");
  const { host, rest } = split(text);
  if (rest !== "" && !rest.startsWith(":")) return err("there is text behind the host");
  if (rest === "" && port === undefined) return err("it has no port");
  const digits = rest.slice(1);
  if (rest !== "" && (!PORT.test(digits) || Number(digits) > 65_535))
    return err("its port is not a number from 1 to 65535");
  const read = readHost(host);
  return read.ok ? ok({ ...read.value, port: rest === "" ? (port ?? 0) : Number(digits) }) : read;
}

function split(text: string): { readonly host: string; readonly rest: string } {
  const end = text.startsWith("[") ? text.indexOf("]") + 1 : text.indexOf(":");
  return end <= 0 ? { host: text, rest: "" } : { host: text.slice(0, end), rest: text.slice(end) };
}

/** A host alone: a name, an IPv4 address in dotted decimal, or an IPv6 address in brackets. */
export function readHost(text: string): Result<Omit<Authority, "port">, string> {
  if (text.startsWith("[")) {
    const inside = text.slice(1, -1);
    if (!text.endsWith("]") || !isIPv6(inside)) return err("it is not an IPv6 address");
    return ok({ host: canonicalIPv6(inside), literal: true });
  }
  if (isIPv4(text)) return ok({ host: text, literal: true });
  const host = text.toLowerCase();
  if (host.endsWith(".")) return err("it ends with a dot");
  if (host.length > 253) return err("the name is too long");
  const labels = host.split(".");
  if (!labels.every((label) => LABEL.test(label))) return err("it is not a host name");
  // WHATWG URL §3.5: such a name is an address in a short, octal, hexadecimal or decimal form to some parsers.
  if (/^(?:[0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "")) return err("it is an address in an unusual form");
  if (!labels.every(isPlainOrDecodes)) return err("its punycode is not canonical");
  return ok({ host, literal: false });
}

/** What says that it is punycode stands for characters beyond ASCII, and they for it (RFC 5891 §4.4). */
function isPlainOrDecodes(label: string): boolean {
  if (!label.startsWith("xn--")) return true;
  const decoded = domainToUnicode(label);
  return [...decoded].some((char) => (char.codePointAt(0) ?? 0) > 0x7f) && domainToASCII(decoded) === label;
}

/** RFC 5952: the URL parser writes the canonical form. */
export const canonicalIPv6 = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);
