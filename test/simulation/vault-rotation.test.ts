/** A new master key while the process is killed: whatever moment it is, one of the two files opens everything. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { openKey, rotateMasterKey, type StateKey } from "../../mesh/commands/state-key.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { keepNextKey, replaceKeyFile, VaultError } from "../../mesh/vault/key-file.ts";
import { newSalt, protectionOf } from "../../mesh/vault/passphrase.ts";
import { Vault } from "../../mesh/vault/vault.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-rotation-"));
after(() => rmSync(root, { recursive: true }));
const by = "principal:operator";
const NAMES = ["a", "b", "c"];
const PASSPHRASE = "a long enough passphrase";

interface Opened {
  readonly vault: Vault;
  readonly key: StateKey;
  readonly store: Store;
}

async function opened<T>(state: string, act: (opened: Opened) => Promise<T>, passphrase?: string): Promise<T> {
  const store = await openStore({ path: state });
  try {
    const key = await openKey(store, state, passphrase === undefined ? undefined : () => Buffer.from(passphrase));
    const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
    return await act({ vault: new Vault({ store, audit, clock, key, random: randomBytes }), key, store });
  } finally {
    await store.close();
  }
}

async function freshState(): Promise<string> {
  const state = mkdtempSync(join(root, "s-"));
  await opened(state, async ({ vault }) => {
    for (const name of NAMES) await vault.put(name, new Secret(Buffer.from(`value-of-${name}`)), by);
  });
  return state;
}

const lastingOf = ({ auditSigner, auditMac }: StateKey): string =>
  createHash("sha256")
    .update(auditSigner.publicKey)
    .update(auditMac.reveal((bytes) => Buffer.from(bytes)))
    .digest("hex");

function assertWhole({ vault }: Opened): void {
  for (const name of NAMES)
    assert.equal(
      vault.reveal(name)?.secret.reveal((bytes) => Buffer.from(bytes).toString()),
      `value-of-${name}`,
    );
}

test("a rotation changes the key and the wrapped keys; the keys of the evidence stay", async () => {
  const state = await freshState();
  const file = join(state, "vault.key");
  const before = readFileSync(file);
  const lasting = await opened(state, async (each) => {
    const next = await rotateMasterKey(state, each.vault, each.key, by);
    assertWhole(each);
    // And again from the one that it has left.
    await rotateMasterKey(state, each.vault, next, by);
    assertWhole(each);
    return lastingOf(each.key);
  });
  assert.ok(!readFileSync(file).equals(before));
  assert.ok(!existsSync(`${file}.next`));
  await opened(state, (each) => {
    assertWhole(each);
    assert.equal(lastingOf(each.key), lasting);
    return Promise.resolve();
  });
  // The old key opens nothing any more.
  writeFileSync(file, before);
  await assert.rejects(
    opened(state, () => Promise.resolve()),
    /is not the one of this state/,
  );
});

test("a crash before the transaction leaves the old key, one after it the new key", async () => {
  const early = await freshState();
  keepNextKey(early, { master: new Secret(randomBytes(32)) }, randomBytes);
  await opened(early, (each) => Promise.resolve(assertWhole(each)));
  assert.ok(!existsSync(join(early, "vault.key.next")), "the draft of a rotation that never was is gone");

  const late = await freshState();
  const file = join(late, "vault.key");
  copyFileSync(file, `${file}.old`);
  await opened(late, async ({ vault, key }) => void (await rotateMasterKey(late, vault, key, by)));
  renameSync(file, `${file}.next`);
  renameSync(`${file}.old`, file);
  await opened(late, (each) => Promise.resolve(assertWhole(each)));
  assert.ok(!existsSync(`${file}.next`));
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("kill -9 at any moment of a hundred rotations", async () => {
  const state = await freshState();
  const script = fileURLToPath(new URL("vault-rotator.ts", import.meta.url));
  let rotations = 0;
  for (let round = 0; round < 10; round++) {
    const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", script, state], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const enough = 1 + ((round * 7) % 12);
    await new Promise<void>((resolve) => {
      let seen = "";
      child.stdout.on("data", (piece: Buffer) => {
        seen += piece.toString();
        if (seen.length < enough) return;
        rotations += seen.length;
        // Not always at the same place of the next one.
        setTimeout(() => child.kill("SIGKILL"), round % 5);
      });
      child.once("exit", () => resolve());
    });
    await opened(state, (each) => Promise.resolve(assertWhole(each)));
  }
  assert.ok(rotations >= 40, `${rotations} rotations`);
});

test("a key under a passphrase opens with it alone, is rotated without asking, and any flipped bit closes it", async () => {
  const state = await freshState();
  await opened(state, ({ key }) => {
    const protection = protectionOf(Buffer.from(PASSPHRASE), newSalt(randomBytes));
    replaceKeyFile(state, { master: key.file.master, protection }, randomBytes);
    return Promise.resolve();
  });
  await assert.rejects(
    opened(state, () => Promise.resolve()),
    (error: unknown) => {
      return error instanceof VaultError && /protected by a passphrase: .*--passphrase-file/.test(error.message);
    },
  );
  await assert.rejects(
    opened(state, () => Promise.resolve(), "another passphrase"),
    /passphrase is another one/,
  );
  await opened(
    state,
    async (each) => {
      assertWhole(each);
      await rotateMasterKey(state, each.vault, each.key, by);
    },
    PASSPHRASE,
  );
  await opened(state, (each) => Promise.resolve(assertWhole(each)), PASSPHRASE);
  const file = join(state, "vault.key");
  const bytes = readFileSync(file);
  for (const at of [0, 25, 40, 60, bytes.length - 1]) {
    const bent = Buffer.from(bytes);
    bent[at]! ^= 1;
    writeFileSync(file, bent);
    await assert.rejects(
      opened(state, () => Promise.resolve(), PASSPHRASE),
      VaultError,
      `byte ${at}`,
    );
  }
});

test("what was entered to open a key does not outlive the opening, also where it does not open", async () => {
  const state = await freshState();
  await opened(state, ({ key }) => {
    const protection = protectionOf(Buffer.from(PASSPHRASE), newSalt(randomBytes));
    replaceKeyFile(state, { master: key.file.master, protection }, randomBytes);
    return Promise.resolve();
  });
  const given = Buffer.from(PASSPHRASE);
  const store = await openStore({ path: state, mode: "inline" });
  await openKey(store, state, () => given);
  assert.ok(given.every((byte) => byte === 0));
  const wrong = Buffer.from("another passphrase");
  await assert.rejects(
    openKey(store, state, () => wrong),
    /another one/,
  );
  assert.ok(wrong.every((byte) => byte === 0));
  await store.close();
});

test("a new key that could not get its name is the only one that opens the rows: no later rotation removes it", async () => {
  const state = await freshState();
  const [file, next] = [join(state, "vault.key"), join(state, "vault.key.next")];
  await opened(state, async ({ vault, key }) => {
    const rewrap: Vault["rewrap"] = async (...asked) => {
      await vault.rewrap(...asked);
      renameSync(file, `${file}.before`);
      mkdirSync(join(file, "in-the-way"), { recursive: true });
    };
    await assert.rejects(rotateMasterKey(state, { rewrap }, key, by), /EISDIR|EEXIST|ENOTEMPTY/);
    const waiting = readFileSync(next);
    await assert.rejects(rotateMasterKey(state, vault, key, by), /waits in .*: start the mesh again/);
    assert.ok(readFileSync(next).equals(waiting));
  });
  rmdirSync(join(file, "in-the-way"));
  rmdirSync(file);
  renameSync(`${file}.before`, file);
  await opened(state, (found) => Promise.resolve(assertWhole(found)));
  assert.equal(existsSync(next), false);
});
