import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock as clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { openStore } from "../store/open.ts";
import { genesisHash, recordHash } from "./chain.ts";
import { createAudit } from "./create.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const keys = () => ({
  signer: {
    sign: (bytes: Uint8Array) => sign(null, bytes, privateKey),
    publicKey: publicKey.export({ format: "der", type: "spki" }),
  },
  macKey: new Secret(new Uint8Array(32).fill(7)),
});
const event = (n: number) => ({ kind: "decision", subject: "mesh", detail: { n } });

test("each transaction seals the records that it holds, once: what a crash leaves opens again", async (t) => {
  const path = join(mkdtempSync(join(tmpdir(), "cordon-audit-")), "state");
  t.after(() => rmSync(join(path, ".."), { recursive: true, force: true }));
  const seals: number[] = [];
  const store = await openStore({
    ...{ path, mode: "inline" },
    faults: (point) => {
      if (point.at === "begin") seals.push(0);
      if (point.at === "write" && point.statement === "audit.setHead") seals.push((seals.pop() ?? 0) + 1);
    },
  });
  const audit = createAudit({ store, clock, ...keys() });
  await Promise.all([event(1), event(2), event(3)].map((each) => audit.record(each)));
  await audit.record(event(4));
  assert.deepEqual(seals, [1, 1]);
  // No `audit.close`: nothing is signed or sealed at the end, as in a crash.
  await store.close();
  const again = await openStore({ path, mode: "inline" });
  assert.equal(createAudit({ store: again, clock, ...keys() }).head().seq, 4);
  await again.close();
});

test("a record's hash is that of the one before it and of every field with its length, in bytes", () => {
  const record = { seq: 7, atMs: 1_700_000_000_000, kind: "decision", subject: "agent:a", detail: '{"ä":"€😀"}' };
  const fields = ["7", "1700000000000", "decision", "agent:a", '{"ä":"€😀"}'];
  const previous = recordHash(genesisHash, record);
  for (const before of [genesisHash, previous]) {
    const expected = createHash("sha256").update(before);
    for (const field of fields) expected.update(`${Buffer.byteLength(field)}:`).update(field);
    assert.deepEqual(Buffer.from(recordHash(before, record)), expected.digest());
  }
});
