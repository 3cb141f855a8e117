import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { Secret } from "../../lib/redact.ts";
import { systemClock } from "../../lib/clock.ts";
import type { Audit } from "../audit/audit.ts";
import { openStore } from "../store/open.ts";
import { defaultTenant } from "../store/statements.ts";
import type { Store } from "../store/store.ts";
import { KEY_BYTES, open, seal } from "./envelope.ts";
import { loadMasterKey, VaultError, type MasterKey } from "./master-key.ts";
import { Vault } from "./vault.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-vault-"));
after(() => rmSync(root, { recursive: true }));
const folder = (): string => mkdtempSync(join(root, "s-"));
const CANARY = "canary-4f9a1c77e2b8";
const secret = (text = CANARY): Secret => new Secret(Buffer.from(text));
const by = "principal:operator";

test("a sealed value opens with its key and row only, and seals anew each time", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.string(), (plain, row) => {
      const key = randomBytes(KEY_BYTES);
      const box = seal(key, plain, row, randomBytes);
      assert.deepEqual([...open(key, box, row)], [...plain]);
      assert.notDeepEqual(seal(key, plain, row, randomBytes), box);
      assert.throws(() => open(randomBytes(KEY_BYTES), box, row));
      assert.throws(() => open(key, box, `${row}x`));
    }),
    { seed: 17, numRuns: 50 },
  );
});

test("a bit flipped anywhere, a cut or an addition is found", () => {
  const key = randomBytes(KEY_BYTES);
  const box = seal(key, Buffer.from(CANARY), "row", randomBytes);
  for (let bit = 0; bit < box.length * 8; bit++) {
    const bent = Buffer.from(box);
    bent[bit >> 3]! ^= 1 << (bit & 7);
    assert.throws(() => open(key, bent, "row"), `bit ${bit}`);
  }
  for (let length = 0; length < box.length; length++) assert.throws(() => open(key, box.subarray(0, length), "row"));
  assert.throws(() => open(key, Buffer.concat([box, Buffer.alloc(1)]), "row"));
});

test("the key file is made once, for its owner alone, and gives the same keys again", () => {
  const state = folder();
  const first = loadMasterKey(state, randomBytes);
  assert.deepEqual(readdirSync(state), ["vault.key"]);
  assert.deepEqual(
    [statSync(join(state, "vault.key")).mode & 0o777, statSync(join(state, "vault.key")).size],
    [0o600, KEY_BYTES],
  );
  const second = loadMasterKey(state, () => assert.fail("no new key"));
  const macOf = (key: MasterKey): string => key.auditMac.reveal((bytes) => Buffer.from(bytes).toString("hex"));
  assert.deepEqual([second.wrapping, macOf(second)], [first.wrapping, macOf(first)]);
  assert.deepEqual(second.auditSigner.sign(Buffer.from("x")), first.auditSigner.sign(Buffer.from("x")));
  const raw = readFileSync(join(state, "vault.key"));
  assert.ok(
    !raw.equals(first.wrapping) && first.wrapping.toString("hex") !== macOf(first),
    "purposes have keys of their own",
  );
});

test("a key file that others can read, or of a wrong size, is refused with the fix", () => {
  for (const mode of [0o644, 0o640, 0o604, 0o620, 0o601]) {
    const state = folder();
    loadMasterKey(state, randomBytes);
    chmodSync(join(state, "vault.key"), mode);
    assert.throws(
      () => loadMasterKey(state, randomBytes),
      (error: unknown) => error instanceof VaultError && error.message.includes("chmod 600"),
      mode.toString(8),
    );
  }
  for (const size of [0, KEY_BYTES - 1, KEY_BYTES + 1]) {
    const state = folder();
    loadMasterKey(state, randomBytes);
    truncateSync(join(state, "vault.key"), size);
    assert.throws(() => loadMasterKey(state, randomBytes), /damaged .*restore it from a backup/, String(size));
  }
});

test("of two first starts at the same moment both get the key of the one that won", () => {
  const state = folder();
  let other: MasterKey | undefined;
  let calls = 0;
  const mine = loadMasterKey(state, (count) => {
    // The second one runs from start to end while the first has drawn its key and not yet linked it.
    if (++calls === 2) other = loadMasterKey(state, randomBytes);
    return randomBytes(count);
  });
  assert.deepEqual(mine.wrapping, other?.wrapping);
  assert.deepEqual(loadMasterKey(state, randomBytes).wrapping, mine.wrapping);
  assert.deepEqual(readdirSync(state), ["vault.key"]);
});

interface Opened {
  readonly state: string;
  readonly store: Store;
  readonly vault: Vault;
  readonly recorded: string[];
}

async function withVault(
  use: (opened: Opened) => Promise<void>,
  state = folder(),
  key = loadMasterKey(state, randomBytes),
): Promise<void> {
  const store = await openStore({ path: state, mode: "inline" });
  const recorded: string[] = [];
  const audit: Audit = {
    record: (event, writes = []) => (recorded.push(inspect(event, { depth: 9 })), store.commit(writes)),
  };
  try {
    await use({
      state,
      store,
      vault: new Vault({ store, audit, clock: systemClock, key, random: randomBytes }),
      recorded,
    });
  } finally {
    await store.close();
  }
}
const shown = (vault: Vault, name = "k"): string | undefined =>
  vault.reveal(name)?.secret.reveal((bytes) => Buffer.from(bytes).toString());

test("put, rotate, revoke: one live version, numbers that go on, and the same after a restart", async () => {
  const state = folder();
  await withVault(async ({ vault }) => {
    assert.equal(shown(vault), undefined);
    assert.deepEqual(await vault.put("k", secret("first-value"), by), { ok: true, value: null });
    await vault.put("k", secret("second-value"), by);
    await vault.put("other", secret(), by);
    assert.equal(shown(vault), "second-value");
    assert.deepEqual(
      vault.list().map(({ name, version }) => [name, version]),
      [
        ["k", 2],
        ["other", 1],
      ],
    );
    assert.equal(await vault.revoke("other", by), true);
    assert.equal(await vault.revoke("other", by), false);
    assert.equal(vault.has("other"), false);
  }, state);
  await withVault(async ({ vault, store }) => {
    assert.equal(shown(vault), "second-value");
    assert.deepEqual(
      vault.list().map(({ name }) => name),
      ["k"],
    );
    await vault.put("other", secret(), by);
    assert.equal(vault.reveal("other")?.version, 2);
    for (const row of store.query.credentials.all(defaultTenant).filter(({ revoked }) => revoked)) {
      assert.deepEqual([row.sealedValue.length, row.wrappedKey.length], [0, 0]);
    }
  }, state);
});

test("a credential that is removed while a new version is on its way stays removed", async () => {
  await withVault(async ({ vault }) => {
    await vault.put("k", secret(), by);
    const storing = vault.put("k", secret("second-value"), by);
    const removing = vault.revoke("k", by);
    await Promise.all([storing, removing]);
    assert.equal(vault.has("k"), false);
  });
});

test("values that could add a header, or that could not be kept out of answers, are refused unrepeated", async () => {
  await withVault(async ({ vault, recorded }) => {
    for (const bad of [
      `${CANARY}\r\nx: y`,
      `${CANARY}\n`,
      `${CANARY} x`,
      `${CANARY}\u007f`,
      `${CANARY}é`,
      `${CANARY}\0`,
      "1234567",
      "",
      "x".repeat(16 * 1024 + 1),
    ]) {
      const put = await vault.put("k", secret(bad), by);
      assert.ok(!put.ok && !put.error.reason.includes("canary") && !put.error.reason.includes("123"));
    }
    assert.deepEqual([vault.list(), recorded], [[], []]);
  });
});

test("uses are counted in the store", async () => {
  const state = folder();
  await withVault(async ({ vault, store }) => {
    await vault.put("k", secret(), by);
    for (let i = 0; i < 3; i++) await store.commit(vault.reveal("k")?.writes ?? []);
  }, state);
  await withVault(async ({ vault }) => assert.equal(vault.list()[0]?.uses, 3), state);
});

test("rows swapped, renamed or renumbered in the database do not open, and neither does another key", async () => {
  for (const change of [
    "UPDATE credential SET name = 'x' WHERE name = 'a'; UPDATE credential SET name = 'a' WHERE name = 'b'; UPDATE credential SET name = 'b' WHERE name = 'x'",
    "UPDATE credential SET version = 7 WHERE name = 'a'",
    "UPDATE credential SET sealed_value = (SELECT sealed_value FROM credential WHERE name = 'b') WHERE name = 'a'",
    "UPDATE credential SET wrapped_key = (SELECT wrapped_key FROM credential WHERE name = 'b') WHERE name = 'a'",
    "UPDATE credential SET wrapped_key = sealed_value WHERE name = 'a'",
  ]) {
    const state = folder();
    await withVault(async ({ vault }) => {
      for (const name of ["a", "b"]) await vault.put(name, secret(`${CANARY}-${name}`), by);
    }, state);
    const { DatabaseSync } = await import("node:sqlite");
    const database = readdirSync(state).find((name) => /\.(db|sqlite3?)$/.test(name));
    const db = new DatabaseSync(join(state, database!));
    db.exec(change);
    db.close();
    await withVault(async ({ vault }) => {
      assert.throws(
        () => vault.reveal("a"),
        (error: unknown) => error instanceof VaultError && !inspect(error, { depth: 9 }).includes("canary"),
        change,
      );
    }, state);
  }
  const state = folder();
  await withVault(async ({ vault }) => void (await vault.put("a", secret(), by)), state);
  await withVault(
    async ({ vault }) => assert.throws(() => vault.reveal("a"), VaultError),
    state,
    loadMasterKey(folder(), randomBytes),
  );
});

test("the value is in no file, no record and nothing that a printer shows", async () => {
  const state = folder();
  await withVault(async ({ vault, recorded }) => {
    await vault.put("k", secret(), by);
    const revealed = vault.reveal("k");
    const texts = [
      ...recorded,
      inspect(vault, { depth: 9, showHidden: true }),
      inspect(revealed, { depth: 9 }),
      JSON.stringify([vault, vault.list()]),
    ];
    for (const text of texts)
      assert.ok(!text.includes("canary") && !text.includes(Buffer.from(CANARY).toString("hex")), text);
    writeFileSync(join(state, "seen"), "canary");
    const found = readdirSync(state).filter(
      (name) => statSync(join(state, name)).isFile() && readFileSync(join(state, name)).includes("canary"),
    );
    assert.deepEqual(found, ["seen"]);
  }, state);
});
