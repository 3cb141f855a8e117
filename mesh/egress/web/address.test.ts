import assert from "node:assert/strict";
import { BlockList, isIPv6 } from "node:net";
import { test } from "node:test";
import fc from "fast-check";
import { bytesOf, notPublic } from "./address.ts";

const refused: readonly (readonly [string, RegExp])[] = [
  ...["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"].map(
    (address) => [address, /metadata/] as const,
  ),
  ["127.0.0.1", /loopback/],
  ["127.255.255.254", /loopback/],
  ["0.0.0.0", /this network/],
  ["10.1.2.3", /private/],
  ["172.16.0.1", /private/],
  ["172.31.255.255", /private/],
  ["192.168.0.1", /private/],
  ["100.64.0.1", /carrier-grade/],
  ["100.127.255.255", /carrier-grade/],
  ["169.254.1.1", /link-local/],
  ["224.0.0.1", /multicast/],
  ["239.255.255.255", /multicast/],
  ["255.255.255.255", /reserved/],
  ["198.19.0.1", /benchmarking/],
  ["192.88.99.1", /6to4/],
  ["::", /unspecified/],
  ["::1", /loopback/],
  ["::ffff:8.8.8.8", /v4-mapped/],
  ["::ffff:127.0.0.1", /v4-mapped/],
  ["::127.0.0.1", /v4-compatible/],
  ["64:ff9b::7f00:1", /NAT64/],
  ["64:ff9b:1::1", /NAT64/],
  ["2002:7f00:1::", /6to4/],
  ["2001:0:4136:e378::1", /Teredo/],
  ["fe80::1", /link-local/],
  ["fec0::1", /site-local/],
  ["fc00::1", /unique local/],
  ["fdff::1", /unique local/],
  ["ff02::1", /multicast/],
  ["2001:db8::1", /documentation/],
  ["100::1", /reserved/],
  ["4000::1", /reserved/],
  ["fe80::1%eth0", /not an address/],
  ["", /not an address/],
  ["localhost", /not an address/],
  ["127.1", /not an address/],
];

test("what is not the public internet is named", () => {
  for (const [address, what] of refused) assert.match(notPublic(address) ?? "public", what, address);
});

test("the neighbours of each range are public", () => {
  const neighbours = ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0"];
  neighbours.push("126.255.255.255", "128.0.0.0", "223.255.255.255", "192.167.255.255", "192.169.0.0", "169.253.0.0");
  neighbours.push("2606:4700::1111", "2001:4860:4860::8888", "2a00::1", "3ffe:ffff::1", "2001:200::1");
  for (const address of neighbours) assert.equal(notPublic(address), undefined, address);
});

test("the ranges are those that Node's own list finds", () => {
  const list = new BlockList();
  for (const [base, bits] of [
    ...([
      ["0.0.0.0", 8],
      ["10.0.0.0", 8],
      ["100.64.0.0", 10],
      ["127.0.0.0", 8],
      ["169.254.0.0", 16],
    ] as const),
    ...([
      ["172.16.0.0", 12],
      ["192.0.0.0", 24],
      ["192.0.2.0", 24],
      ["192.31.196.0", 24],
      ["192.52.193.0", 24],
    ] as const),
    ...([
      ["192.88.99.0", 24],
      ["192.168.0.0", 16],
      ["192.175.48.0", 24],
      ["198.18.0.0", 15],
    ] as const),
    ...([
      ["198.51.100.0", 24],
      ["203.0.113.0", 24],
      ["224.0.0.0", 3],
      ["168.63.129.16", 32],
    ] as const),
  ])
    list.addSubnet(base, bits, "ipv4");
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      assert.equal(notPublic(address) !== undefined, list.check(address, "ipv4"), address);
    }),
    { seed: 42, numRuns: 20_000 },
  );
});

test("the bytes of an IPv6 address, however it is written", () => {
  fc.assert(
    fc.property(fc.ipV6(), (address) => {
      fc.pre(isIPv6(address));
      const words = bytesOf(address);
      assert.equal(words.length, 16);
      const long = Array.from({ length: 8 }, (_, i) =>
        (((words[2 * i] ?? 0) << 8) | (words[2 * i + 1] ?? 0)).toString(16),
      );
      assert.equal(new URL(`http://[${long.join(":")}]`).hostname, new URL(`http://[${address}]`).hostname);
    }),
    { seed: 43, numRuns: 5_000 },
  );
});
