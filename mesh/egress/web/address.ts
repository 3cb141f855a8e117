import { isIP, isIPv4, isIPv6 } from "node:net";

/** A range of addresses that is not the public internet. */
interface Range {
  readonly bytes: readonly number[];
  readonly bits: number;
  readonly what: string;
}

/**
 * IANA special-purpose registries (RFC 6890 and its updates), and what clouds answer their machines on. The first that
 * matches names the class, so a narrow range stands before the wider one around it.
 */
const ipv4: readonly Range[] = [
  ["169.254.169.254", 32, "cloud metadata"],
  ["168.63.129.16", 32, "cloud metadata"],
  ["100.100.100.200", 32, "cloud metadata"],
  ["192.0.0.192", 32, "cloud metadata"],
  ["0.0.0.0", 8, "this network (RFC 1122)"],
  ["10.0.0.0", 8, "private (RFC 1918)"],
  ["100.64.0.0", 10, "carrier-grade NAT (RFC 6598)"],
  ["127.0.0.0", 8, "loopback (RFC 1122)"],
  ["169.254.0.0", 16, "link-local (RFC 3927)"],
  ["172.16.0.0", 12, "private (RFC 1918)"],
  ["192.0.0.0", 24, "protocol assignments (RFC 6890)"],
  ["192.0.2.0", 24, "documentation (RFC 5737)"],
  ["192.31.196.0", 24, "AS112 (RFC 7535)"],
  ["192.52.193.0", 24, "AMT (RFC 7450)"],
  ["192.88.99.0", 24, "6to4 relay (RFC 7526)"],
  ["192.168.0.0", 16, "private (RFC 1918)"],
  ["192.175.48.0", 24, "AS112 (RFC 7534)"],
  ["198.18.0.0", 15, "benchmarking (RFC 2544)"],
  ["198.51.100.0", 24, "documentation (RFC 5737)"],
  ["203.0.113.0", 24, "documentation (RFC 5737)"],
  ["224.0.0.0", 4, "multicast (RFC 5771)"],
  ["240.0.0.0", 4, "reserved (RFC 1112)"],
].map(([base, bits, what]) => ({ bytes: bytesOf(String(base)), bits: Number(bits), what: String(what) }));

const ipv6: readonly Range[] = [
  ["fd00:ec2::254", 128, "cloud metadata"],
  ["::", 128, "unspecified (RFC 4291)"],
  ["::1", 128, "loopback (RFC 4291)"],
  ["::ffff:0:0", 96, "v4-mapped (RFC 4291)"],
  ["::", 96, "v4-compatible (RFC 4291)"],
  ["64:ff9b::", 96, "NAT64 (RFC 6052)"],
  ["64:ff9b:1::", 48, "NAT64 (RFC 8215)"],
  ["fc00::", 7, "unique local (RFC 4193)"],
  ["fe80::", 10, "link-local (RFC 4291)"],
  ["fec0::", 10, "site-local (RFC 3879)"],
  ["ff00::", 8, "multicast (RFC 4291)"],
  ["2001::", 32, "Teredo (RFC 4380)"],
  ["2001::", 23, "protocol assignments (RFC 2928)"],
  ["2001:db8::", 32, "documentation (RFC 3849)"],
  ["2002::", 16, "6to4 (RFC 3056)"],
  ["2620:4f:8000::", 48, "AS112 (RFC 7534)"],
  ["3fff::", 20, "documentation (RFC 9637)"],
].map(([base, bits, what]) => ({ bytes: bytesOf(String(base)), bits: Number(bits), what: String(what) }));

/** What keeps an address from being public, or undefined: then it is. What is no address at all is not public. */
export function notPublic(address: string): string | undefined {
  const bytes = isIPv4(address) || isIPv6(address) ? bytesOf(address) : [];
  if (bytes.length === 0 || address.includes("%")) return "not an address";
  if (bytes.length === 4) return ipv4.find((range) => within(range, bytes))?.what;
  const named = ipv6.find((range) => within(range, bytes))?.what;
  // RFC 4291 §2.4: of IPv6 only 2000::/3 has been given out for the public internet.
  return named ?? ((bytes[0] ?? 0) >> 5 === 1 ? undefined : "reserved (RFC 4291)");
}

function within({ bytes: base, bits }: Range, bytes: readonly number[]): boolean {
  for (let i = 0; i * 8 < bits; i++) {
    const mask = 0xff & (0xff << Math.max(0, 8 - (bits - i * 8)));
    if (((base[i] ?? 0) & mask) !== ((bytes[i] ?? 0) & mask)) return false;
  }
  return true;
}

/** Four or sixteen bytes, most significant first. */
export function bytesOf(address: string): number[] {
  if (!address.includes(":")) return address.split(".").map(Number);
  // RFC 4291 §2.2: the last four bytes may be written as an IPv4 address.
  const last = address.lastIndexOf(":") + 1;
  const tail = address.includes(".") ? bytesOf(address.slice(last)) : [];
  const head = tail.length === 0 ? address : address.slice(0, last);
  const text = head.endsWith(":") && !head.endsWith("::") ? head.slice(0, -1) : head;
  const [before = "", after] = text.split("::");
  const words = (part: string): number[] =>
    part === ""
      ? []
      : part.split(":").flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 0xff]);
  const front = words(before);
  const end = [...words(after ?? ""), ...tail];
  return [...front, ...Array<number>(16 - front.length - end.length).fill(0), ...end];
}

export const isAddress = (text: string): boolean => isIP(text) !== 0;
