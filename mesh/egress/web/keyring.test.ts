import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/redact.ts";
import { openStore } from "../../store/open.ts";
import type { Store } from "../../store/store.ts";
import { loadMasterKey } from "../../vault/master-key.ts";
import { Vault } from "../../vault/vault.ts";
import { CredentialWatch } from "../../vault/watch.ts";
import { Injector } from "../credentials.ts";
import { Keyring, scrubText } from "./keyring.ts";

interface Scene {
  readonly vault: Vault;
  readonly keyring: Keyring;
  readonly told: readonly string[];
}

async function scene(use: (scene: Scene) => Promise<void>): Promise<void> {
  const state = mkdtempSync(join(tmpdir(), "cordon-keyring-"));
  const store = await openStore({ path: state, mode: "inline" });
  const told: string[] = [];
  const emit = (type: string): void => void told.push(type);
  const watch = new CredentialWatch({ store, clock, monitor: { emit, emitSparsely: emit } });
  const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
  const key = loadMasterKey(state, randomBytes);
  const vault = new Vault({ store, audit, clock, key, random: randomBytes, watch });
  try {
    await use({ vault, keyring: new Keyring(new Injector(vault)), told });
  } finally {
    await store.close();
    rmSync(state, { recursive: true });
  }
}

const by = "principal:operator";
const put = (vault: Vault, text: string) => vault.put("key", new Secret(Buffer.from(text)), by, {});
const clean = (keyring: Keyring, text: string): string => scrubText(keyring.watched(["key", "none"]), text).text;

test("to look for a credential in answers is no use of it", async () => {
  await scene(async ({ vault, keyring, told }) => {
    await put(vault, "canary-number-one");
    assert.doesNotMatch(clean(keyring, "<canary-number-one>"), /canary/);
    assert.deepEqual([vault.list()[0]?.uses, vault.list()[0]?.lastUsedAtMs, told], [0, null, []]);
    keyring.take("key", { agent: "a", destination: "api.test" });
    assert.deepEqual([vault.list()[0]?.uses, told], [1, ["credential.first_use"]]);
  });
});

test("a revoked one is looked for without a word about its use", async () => {
  await scene(async ({ vault, keyring, told }) => {
    await put(vault, "canary-number-one");
    keyring.watched(["key"]);
    await vault.revoke("key", by);
    assert.doesNotMatch(clean(keyring, "<canary-number-one>"), /canary/);
    assert.equal(keyring.take("key"), undefined);
    assert.deepEqual(told, ["credential.revoked_use"], "only the use was told");
  });
});

test("after a rotation that nobody has used yet both values are looked for", async () => {
  await scene(async ({ vault, keyring }) => {
    await put(vault, "canary-number-one");
    keyring.take("key");
    await put(vault, "canary-number-two");
    assert.doesNotMatch(clean(keyring, "<canary-number-one> <canary-number-two>"), /canary/);
  });
});
