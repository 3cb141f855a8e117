import { networkInterfaces } from "node:os";

const ADDRESSES_MAX = 6;

/** The host's own addresses, loopback included; link-local ones need a scope and are left out. */
export function hostAddresses(): readonly string[] {
  const found = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const usable = found.filter((one) => !one.address.startsWith("fe80:")).map((one) => one.address);
  // Those that others can reach come first; one of each kind is enough to prove the point.
  const outer = usable.filter((address) => address !== "127.0.0.1" && address !== "::1");
  const loopback = usable.filter((address) => address === "127.0.0.1" || address === "::1");
  return [...new Set([...outer.slice(0, ADDRESSES_MAX - loopback.length), ...loopback])].slice(0, ADDRESSES_MAX);
}
