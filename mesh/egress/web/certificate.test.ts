import assert from "node:assert/strict";
import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { connect, createServer } from "node:tls";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../../../lib/clock.ts";
import { CertificateAuthority } from "./certificate-authority.ts";
import { makeCertificate } from "./certificate.ts";
import { integer, oid, sequence, time } from "./der.ts";

const leafOf = (pem: string): string => pem.slice(0, pem.indexOf("-----END") + "-----END CERTIFICATE-----\n".length);

test("OpenSSL finds a chain, a name and the right uses", () => {
  const authority = new CertificateAuthority("sbx-1", systemClock);
  const root = new X509Certificate(authority.pem);
  assert.ok(root.ca && root.verify(root.publicKey) && root.checkIssued(root));
  for (const [host, matches] of [
    ["api.example.org", (leaf: X509Certificate) => leaf.checkHost("api.example.org") && !leaf.checkHost("example.org")],
    ["127.0.0.1", (leaf: X509Certificate) => leaf.checkIP("127.0.0.1") && !leaf.checkIP("127.0.0.2")],
    ["2001:db8::7", (leaf: X509Certificate) => leaf.checkIP("2001:db8::7") && !leaf.checkIP("::7")],
  ] as const) {
    const { cert, key } = authority.issue(host);
    const leaf = new X509Certificate(leafOf(cert));
    assert.ok(!leaf.ca && leaf.verify(root.publicKey) && leaf.checkIssued(root), host);
    assert.ok(leaf.checkPrivateKey(createPrivateKey(key)));
    assert.ok(matches(leaf), host);
    assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.1"]);
    assert.ok(leaf.validFromDate.getTime() < systemClock.nowMs() && leaf.validToDate.getTime() > systemClock.nowMs());
    assert.notEqual(leaf.serialNumber, root.serialNumber);
  }
});

test("a client that trusts the authority agrees on TLS, and one that does not refuses", async () => {
  const authority = new CertificateAuthority("sbx-1", systemClock);
  const { key, cert } = authority.issue("api.test");
  const server = createServer({ key, cert }, (socket) => socket.end("hello"));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const ask = (ca: string, servername: string): Promise<string> => {
    const socket = connect({ port, host: "127.0.0.1", servername, ca });
    return new Promise((resolve) => {
      socket.on("data", (bytes) => resolve(bytes.toString())).on("error", ({ message }) => resolve(message));
    });
  };
  assert.equal(await ask(authority.pem, "api.test"), "hello");
  assert.match(await ask(authority.pem, "other.test"), /does not match/);
  assert.match(
    await ask(new CertificateAuthority("sbx-2", systemClock).pem, "api.test"),
    /unable to verify|self.signed/,
  );
  server.close();
});

test("two sandboxes have nothing in common", () => {
  const [a, b] = [new CertificateAuthority("same", systemClock), new CertificateAuthority("same", systemClock)];
  assert.notEqual(a.pem, b.pem);
  const leaf = new X509Certificate(leafOf(a.issue("h.test").cert));
  assert.ok(!leaf.verify(new X509Certificate(b.pem).publicKey));
});

test("any name and any time make a certificate that is read as it was meant", () => {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  fc.assert(
    fc.property(
      fc.array(label, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 0, max: 4_000_000_000 }),
      fc.integer({ min: 1, max: 100_000_000 }),
      (labels, from, seconds) => {
        const name = labels.join(".");
        const validity = { fromMs: from * 1_000, untilMs: (from + seconds) * 1_000 };
        const read = new X509Certificate(
          makeCertificate({ name, publicKey, issuer: { name: "i", privateKey }, ca: false, ...validity }),
        );
        assert.equal(read.subjectAltName, `DNS:${name}`);
        assert.deepEqual(
          [read.validFromDate.getTime(), read.validToDate.getTime()],
          [validity.fromMs, validity.untilMs],
        );
      },
    ),
    { seed: 44, numRuns: 200 },
  );
});

test("DER as the examples of X.690 and RFC 5280 write it", () => {
  assert.equal(oid("1.2.840.113549").toString("hex"), "06062a864886f70d");
  assert.equal(integer(Buffer.from([0])).toString("hex"), "020100");
  assert.equal(integer(Buffer.from([0x80])).toString("hex"), "02020080");
  assert.equal(integer(Buffer.from([0, 0, 0x7f])).toString("hex"), "02017f");
  assert.equal(sequence(Buffer.alloc(200)).subarray(0, 3).toString("hex"), "3081c8");
  assert.equal(sequence(Buffer.alloc(300)).subarray(0, 4).toString("hex"), "3082012c");
  assert.equal(time(Date.UTC(2049, 11, 31, 23, 59, 59)).toString("latin1"), "\x17\r491231235959Z");
  assert.equal(time(Date.UTC(2050, 0, 1)).toString("latin1"), "\x18\x0f20500101000000Z");
});
