import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseAuthority } from "./authority.ts";

const read = (text: string, port?: number): string => {
  const parsed = parseAuthority(text, port);
  return parsed.ok ? `${parsed.value.host} ${parsed.value.port}` : `no: ${parsed.error}`;
};

test("a name, an IPv4 and an IPv6 address have one canonical spelling", () => {
  assert.equal(read("api.Example.org:443"), "api.example.org 443");
  assert.equal(read("r3---sn-a.example"), "no: it has no port");
  assert.equal(read("r3---sn-a.example", 443), "r3---sn-a.example 443");
  assert.equal(read("10.0.0.1:80"), "10.0.0.1 80");
  assert.equal(read("[0:0::1]:8443"), "::1 8443");
  assert.equal(read("[::FFFF:1.2.3.4]", 443), "::ffff:102:304 443");
  assert.equal(read("xn--bcher-kva.example:443"), "xn--bcher-kva.example 443");
});

const tricks: readonly string[] = [
  ...["", ":443", "a.example:", "a.example:0", "a.example:65536", "a.example:0443", "a.example:+443", "a.example:44 3"],
  ...["user@a.example:443", "a.example@b.example:443", "a.example:443@b.example:443", "a.example:x@b.example:443"],
  ...["a.example.:443", "a..example:443", ".a.example:443", "-a.example:443", "a-.example:443", "a_b.example:443"],
  ...["bücher.example:443", "ａ.example:443", "a。example:443", "xn--a.example:443"],
  ...["xn--example-.org:443", "a%2eexample:443", "%61.example:443", "a.example%00.b.example:443"],
  ...["2130706433:443", "0x7f000001:443", "0177.0.0.1:443", "127.1:443", "127.0.1:443", "0x7f.0.0.1:443"],
  ...["127.0.0.01:443", "127.0.0.1.:443", "1.2.3.4.5:443", "256.1.1.1:443", "a.0x1:443", "a.1:443", "1.2.3.0x4:443"],
  ...["::1:443", "[::1%lo]:443", "[::1%25lo]:443", "[::1:443", "[]:443", "[a.example]:443", "[::1]443", "[::1] :443"],
  ...[
    "a.example/x:443",
    "a.example\\x:443",
    "a.example#x:443",
    "a.example?x:443",
    "a.example:443/",
    "https://a.example",
  ],
  ...["a.example\t:443", "a.example\r\nhost: b:443", "a.example\0:443", " a.example:443", "a.example:443 "],
  ...[`${"a".repeat(64)}.example:443`, `${"a.".repeat(130)}example:443`, `${"a".repeat(9_000)}:443`],
];

test("whatever two parsers could read in two ways is refused", () => {
  for (const text of tricks) assert.match(read(text), /^no: /, text);
});

test("what is read is read again as itself, and as the URL parser reads it", () => {
  const label = fc.stringMatching(/^[a-z0-9-]{1,8}$/);
  const host = fc.oneof(
    fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join(".")),
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6().map((address) => `[${address}]`),
    fc.string({ maxLength: 20 }),
    fc.string({ unit: "binary", maxLength: 12 }),
  );
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
      const parsed = parseAuthority(`${name}:${port}`);
      if (!parsed.ok) return;
      const { value } = parsed;
      const spelt = value.host.includes(":") ? `[${value.host}]` : value.host;
      assert.deepEqual(parseAuthority(`${spelt}:${port}`), parsed);
      assert.equal(new URL(`http://${name}:${port}`).hostname, spelt);
    }),
    { seed: 41, numRuns: 2_000 },
  );
});
