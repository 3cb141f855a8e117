import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "../../../lib/redact.ts";
import { ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Vault } from "../../vault/vault.ts";
import { HashicorpSource } from "./hashicorp.ts";

const setting = {
  address: new URL("https://vault.test"),
  path: "database/creds/reader",
  field: "password",
  token: "hv",
  namespace: null,
};
const vault = {
  reveal: () => ({ secret: new Secret(Buffer.from("hvs.token-for-tests")), version: 1, writes: [] }),
} as unknown as Vault;

test("no life that a server states for a lease is more or finer than the store takes", async () => {
  for (const [seconds, ms] of [
    [60, 60_000],
    [1e300, limits.credential.expiryMsMax],
    [0.0001, 1],
    [1.0005, 1_001],
    [0, null],
    [-1, null],
    ["60", null],
  ] as const) {
    const source = new HashicorpSource(setting, vault, () =>
      Promise.resolve(
        ok({ status: 200, body: { data: { password: "the-password" }, lease_id: "l", lease_duration: seconds } }),
      ),
    );
    const minted = await source.mint(new AbortController().signal);
    assert.ok(minted.ok);
    assert.equal(minted.value.expiresInMs, ms, String(seconds));
  }
});
