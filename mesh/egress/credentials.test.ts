import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../../lib/redact.ts";
import type { Vault } from "../vault/vault.ts";
import { Injector } from "./credentials.ts";

/** A vault of one credential, whose state the test sets. */
function vaultOf(value: string) {
  const state: { value: string; version: number | string; live: boolean; opened: number } = {
    ...{ value, version: 1, live: true, opened: 0 },
  };
  const vault = {
    generation: () => String(state.version),
    retiring: () => [],
    count: () => (state.live ? [] : undefined),
    reveal: () => {
      if (!state.live) return undefined;
      state.opened++;
      return { secret: new Secret(Buffer.from(state.value)), version: state.version, writes: [] };
    },
  };
  return { state, injector: new Injector(vault as unknown as Vault) };
}

test("a value is opened once a generation, and the next one at once", () => {
  const { state, injector } = vaultOf("sk-first-0123456789");
  for (let n = 0; n < 3; n++) assert.equal(injector.prepare("key")?.value, "sk-first-0123456789");
  assert.equal(state.opened, 1);
  Object.assign(state, { value: "sk-second-0123456789", version: 2 });
  assert.equal(injector.prepare("key")?.value, "sk-second-0123456789");
  assert.equal(state.opened, 2);
});

test("one that was made ready stands until its version is known no more, also when there is a newer one", () => {
  const { state, injector } = vaultOf("sk-first-0123456789");
  const ready = injector.prepare("key");
  assert.equal(ready?.stands?.(), true);
  const again = injector.prepare("key");
  for (const [generation, stands] of [
    ["2 1", true],
    ["3 2 1", true],
    ["11", false],
    ["3 2", false],
    ["0", false],
  ] as const) {
    Object.assign(state, { version: generation });
    assert.deepEqual([ready?.stands?.(), again?.stands?.()], [stands, stands], generation);
  }
});

test("one that does not stand any more is not given out, and has to be opened anew when it does", () => {
  const { state, injector } = vaultOf("sk-first-0123456789");
  assert.ok(injector.prepare("key"));
  state.live = false;
  assert.equal(injector.prepare("key"), undefined);
  state.live = true;
  assert.ok(injector.prepare("key"));
  assert.equal(state.opened, 2);
});
