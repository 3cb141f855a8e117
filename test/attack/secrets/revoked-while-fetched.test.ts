/** A credential is revoked while its source fetches the next one, or does not answer: revoked it is, and stays. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { systemClock as clock } from "../../../lib/clock.ts";
import { Secret } from "../../../lib/redact.ts";
import { ok } from "../../../lib/result.ts";
import { deskCredentials } from "../../../mesh/commands/credentials.ts";
import type { Sources } from "../../../mesh/commands/sources.ts";
import type { StateKey } from "../../../mesh/commands/state-key.ts";
import type { Fleet } from "../../../mesh/config/fleet.ts";
import type { Endpoint, JsonObject } from "../../../mesh/egress/sources/endpoint.ts";
import { CredentialKeeper } from "../../../mesh/egress/sources/keeper.ts";
import { OAuthLogins } from "../../../mesh/egress/sources/oauth-login.ts";
import { OAuthSource } from "../../../mesh/egress/sources/oauth.ts";
import { openStore } from "../../../mesh/store/open.ts";
import type { Store } from "../../../mesh/store/store.ts";
import { loadMasterKey } from "../../../mesh/vault/master-key.ts";
import { Vault } from "../../../mesh/vault/vault.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-revoked-"));
after(() => rmSync(folder, { recursive: true }));
const none = new AbortController().signal;
const by = "principal:operator";
const secret = (text: string): Secret => new Secret(Buffer.from(text));

/** The whole way of a revocation, on a real vault; the server answers when the test lets it. */
async function scene(
  use: (scene: {
    readonly vault: Vault;
    readonly keeper: CredentialKeeper;
    readonly desk: ReturnType<typeof deskCredentials>;
    readonly asked: { readonly body: string; answer(body: JsonObject): void }[];
  }) => Promise<void>,
): Promise<void> {
  const state = mkdtempSync(join(folder, "s-"));
  const store = await openStore({ path: state, mode: "inline" });
  const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
  const vault = new Vault({ store, audit, clock, key: loadMasterKey(state, randomBytes), random: randomBytes });
  const asked: { readonly body: string; answer(body: JsonObject): void }[] = [];
  const ask: Endpoint = ({ body }) =>
    new Promise((resolve) => {
      asked.push({ body: String(body), answer: (answer) => resolve(ok({ status: 200, body: answer })) });
    });
  const server = new URL("https://tokens.example");
  const source = new OAuthSource(
    "k",
    {
      ...{ grant: "authorization_code", tokenUrl: server, authorizeUrl: server, deviceUrl: null, revokeUrl: server },
      ...{
        clientId: "c",
        clientSecret: null,
        scopes: [],
        audience: null,
        key: null,
        subject: null,
        subjectToken: null,
      },
    },
    { vault, ask, nowMs: () => clock.nowMs(), newId: () => "id" },
  );
  const monitor = { emit: () => undefined };
  const kept = new Map([["k", { source, everyMs: 60_000 }]]);
  const keeper = new CredentialKeeper({ vault, clock, monitor, chance: () => 0, kept });
  const sources: Sources = {
    ...{ keeper, logins: new OAuthLogins(keeper, clock, randomBytes), close: () => Promise.resolve() },
    oauth: (name) => (name === "k" ? source : undefined),
  };
  const desk = deskCredentials(vault, {
    ...{ state, sources, signal: none, providers: new Map() },
    ...{ key: {} as StateKey, fleet: { agents: [] } as unknown as Fleet },
  });
  try {
    await vault.put("k", secret("access-one"), by);
    await vault.put("k-refresh", secret("refresh-one"), by);
    await use({ vault, keeper, desk, asked });
  } finally {
    await store.close();
  }
}

const fresh = { access_token: "access-two", token_type: "Bearer", expires_in: 3_600, refresh_token: "refresh-two" };
/** Answers all that is asked from the `from`-th on, until `done`. */
async function answerUntil<T>(
  done: Promise<T>,
  asked: readonly { answer(body: JsonObject): void }[],
  from: number,
): Promise<T> {
  const over = new AbortController();
  const told = done.finally(() => over.abort());
  for (let at = from; !over.signal.aborted; await clock.sleep(1)) if (at < asked.length) asked[at++]?.answer({});
  return told;
}

const standings = (vault: Vault): string[] => ["k", "k-refresh"].map((name) => vault.standing(name));

test("revoked while the next value is on its way: neither it nor the next refresh token comes back to life", async () => {
  await scene(async ({ vault, keeper, desk, asked }) => {
    const refreshing = keeper.refresh("k", none);
    assert.match(asked[0]?.body ?? "", /refresh-one/);
    const revoking = desk.revoke("k", by);
    asked[0]?.answer(fresh);
    const refreshed = await refreshing;
    assert.ok(!refreshed.ok && /revoked meanwhile/.test(refreshed.error.reason), JSON.stringify(refreshed));
    assert.equal(await answerUntil(revoking, asked, 1), true);
    assert.deepEqual(standings(vault), ["revoked", "revoked"]);
    assert.equal(vault.reveal("k"), undefined);
  });
});

test("revoked while a log-in is being finished: the log-in does not bring it back", async () => {
  await scene(async ({ vault, desk, asked }) => {
    const started = await desk.login("k", "http://127.0.0.1:1/callback");
    assert.ok(started.ok && started.value.kind === "browser");
    const finishing = desk.finishLogin(started.value.state, "code");
    const revoking = desk.revoke("k", by);
    asked[0]?.answer({ ...fresh, refresh_token: null });
    assert.equal((await finishing).ok, false);
    assert.equal(await answerUntil(revoking, asked, 1), true);
    assert.equal(vault.standing("k"), "revoked");
  });
});

test("a server that never answers keeps nothing alive: both are erased at once, and it is told of both", async () => {
  await scene(async ({ vault, desk, asked }) => {
    const revoking = desk.revoke("k", by);
    assert.deepEqual([vault.reveal("k"), vault.reveal("k-refresh")], [undefined, undefined], "in the same tick");
    assert.match(asked[0]?.body ?? "", /token=refresh-one/);
    asked[0]?.answer({});
    while (asked.length < 2) await clock.sleep(1);
    assert.match(asked[1]?.body ?? "", /token=access-one/);
    assert.equal(await answerUntil(revoking, asked, 1), true);
  });
});

test("what an operator enters after a revocation stands, and is refreshed again", async () => {
  await scene(async ({ vault, keeper, desk, asked }) => {
    const revoking = desk.revoke("k", by);
    assert.equal(await answerUntil(revoking, asked, 0), true);
    await desk.put("k", secret("entered-anew"), by, {});
    await desk.put("k-refresh", secret("refresh-anew"), by, {});
    const refreshing = keeper.refresh("k", none);
    asked[2]?.answer(fresh);
    assert.ok((await refreshing).ok);
    assert.deepEqual(standings(vault), ["live", "live"]);
  });
});
