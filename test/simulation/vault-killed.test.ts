/** The key file at every operation of the file system at which the mesh can be killed: the old form or the new one, and nothing else. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import fs, { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Secret } from "../../lib/redact.ts";
import { systemClock as clock } from "../../lib/clock.ts";
import { openKey, rotateMasterKey, type StateKey } from "../../mesh/commands/state-key.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { KEY_FILE, NEXT_KEY_FILE, replaceKeyFile } from "../../mesh/vault/key-file.ts";
import type { Protection } from "../../mesh/vault/passphrase.ts";
import { Vault } from "../../mesh/vault/vault.ts";
import { openerWith, wrappedHead } from "../../mesh/vault/wrapped-key.ts";

const root = mkdtempSync(join(tmpdir(), "cordon-killed-"));
after(() => rmSync(root, { recursive: true }));

const OPERATIONS = ["openSync", "writeSync", "fsyncSync", "closeSync", "linkSync", "renameSync", "rmSync"] as const;
type Operation = (...args: unknown[]) => unknown;

/** Runs `act`, and before its `nth` operation nothing more happens to any file; a write gets half of its bytes out. False: it ended first. */
async function killedAt(nth: number, act: () => Promise<unknown>): Promise<boolean> {
  const table = fs as unknown as Record<string, Operation>;
  const real = Object.fromEntries(OPERATIONS.map((name) => [name, table[name]!]));
  let done = 0;
  for (const name of OPERATIONS)
    table[name] = (...args) => {
      if (done++ < nth) return real[name]!(...args);
      if (done === nth + 1 && name === "writeSync") {
        const [file, bytes] = args as [number, Uint8Array];
        real["writeSync"]!(file, bytes.subarray(0, bytes.length >> 1));
      }
      throw new Error("killed");
    };
  syncBuiltinESMExports();
  try {
    await act();
    return false;
  } catch (error) {
    assert.match((error as Error).message, /killed$/);
    return true;
  } finally {
    Object.assign(table, real);
    syncBuiltinESMExports();
  }
}

interface Opened {
  readonly vault: Vault;
  readonly key: StateKey;
}

async function opened<T>(state: string, server: Server, act: (opened: Opened) => Promise<T>): Promise<T> {
  const store = await openStore({ path: state, mode: "inline" });
  try {
    const key = await openKey(store, state, server.opener);
    const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
    return await act({ vault: new Vault({ store, audit, clock, key, random: randomBytes }), key });
  } finally {
    await store.close();
  }
}

/** Of a server: what it has wrapped, by ciphertext. */
function startServer() {
  const known = new Map<string, Secret>();
  return {
    opener: openerWith(known),
    protection(): Protection {
      const ciphertext = `vault:v1:${randomBytes(8).toString("base64")}`;
      const key = randomBytes(32);
      known.set(ciphertext, new Secret(key));
      const server = { service: "transit", address: "https://vault.example", mount: "transit" } as const;
      const place = { ...server, key: "cordon", namespace: null, ca: null };
      return { head: wrappedHead({ ...place, ciphertext }), key: new Secret(Buffer.from(key)) };
    },
  };
}
type Server = ReturnType<typeof startServer>;

const replace = (state: string, { key }: Opened, protection?: Protection): void =>
  replaceKeyFile(state, { master: key.file.master, ...(protection && { protection }) }, randomBytes);

/** What changes a key file, and in which protection it stands before. */
const changes: Readonly<
  Record<string, { readonly wrapped: boolean; act(state: string, opened: Opened, server: Server): unknown }>
> = {
  protect: { wrapped: false, act: (state, found, server) => replace(state, found, server.protection()) },
  "protect anew": { wrapped: true, act: (state, found, server) => replace(state, found, server.protection()) },
  unprotect: { wrapped: true, act: (state, found) => replace(state, found) },
  "rotate, alone": { wrapped: false, act: (state, { vault, key }) => rotateMasterKey(state, vault, key, "test") },
  "rotate, wrapped": { wrapped: true, act: (state, { vault, key }) => rotateMasterKey(state, vault, key, "test") },
};

for (const [name, { wrapped, act }] of Object.entries(changes))
  test(`killed at every operation of \`${name}\`: one of the two forms opens all, and no other file holds the key`, async () => {
    let nth = 0;
    for (let killed = true; killed; nth++) {
      const server = startServer();
      const state = mkdtempSync(join(root, "s-"));
      await opened(state, server, async (found) => {
        await found.vault.put("openai", new Secret(Buffer.from("value-of-openai")), "test");
        if (wrapped) replace(state, found, server.protection());
      });
      const file = join(state, KEY_FILE);
      const before = readFileSync(file);
      killed = await opened(state, server, (found) =>
        killedAt(nth, async () => void (await act(state, found, server))),
      );
      const left = readFileSync(file);
      const next = join(state, NEXT_KEY_FILE);
      if (existsSync(next)) assert.equal(readFileSync(next).length, before.length, "never half a key");
      if (!killed) assert.ok(!left.equals(before), "a change that ended has changed it");
      await opened(state, server, async ({ vault, key }) => {
        const value = vault.reveal("openai")?.secret.reveal((bytes) => Buffer.from(bytes).toString());
        assert.equal(value, "value-of-openai");
        // A rotation that was committed gets its name now; the same key in another form has it, or will not have it.
        if (!name.startsWith("rotate")) assert.ok(readFileSync(file).equals(left));
        const plain = key.file.master.reveal((bytes) => Buffer.from(bytes));
        const holding = readdirSync(state).filter((each) => readFileSync(join(state, each)).includes(plain));
        assert.deepEqual(holding, key.file.protection ? [] : [KEY_FILE]);
      });
      endsWithOneKey(state, nth);
    }
    assert.ok(nth > 8, `${nth} operations`);
  });

/** Nothing of the key but the key file is left; removes the state. */
function endsWithOneKey(state: string, nth: number): void {
  assert.deepEqual(
    readdirSync(state).filter((each) => each.startsWith(KEY_FILE)),
    [KEY_FILE],
    `operation ${nth}`,
  );
  rmSync(state, { recursive: true });
}

test("killed at every operation of a first start: the next one goes on, and no copy of its key stays", async () => {
  let nth = 0;
  const server = startServer();
  for (let killed = true; killed; nth++) {
    const state = mkdtempSync(join(root, "f-"));
    const store = await openStore({ path: state, mode: "inline" });
    killed = await killedAt(nth, () => openKey(store, state));
    await store.close();
    await opened(state, server, async (found) => replace(state, found, server.protection()));
    endsWithOneKey(state, nth);
  }
  assert.ok(nth > 8, `${nth} operations`);
});
