/**
 * What every source of secrets keeps. HashiCorp Vault and AWS Secrets Manager are servers of this file, which answer as
 * their documentation says; the real ones were not tried.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inspect } from "node:util";
import type { Clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { AwsSecretsSource } from "../../mesh/egress/sources/aws-secrets.ts";
import { endpoint } from "../../mesh/egress/sources/endpoint.ts";
import { HashicorpSource } from "../../mesh/egress/sources/hashicorp.ts";
import { CredentialKeeper } from "../../mesh/egress/sources/keeper.ts";
import { environmentSource, fileSource } from "../../mesh/egress/sources/local.ts";
import type { SecretSource } from "../../mesh/egress/sources/source.ts";
import { openStore } from "../../mesh/store/open.ts";
import type { Store } from "../../mesh/store/store.ts";
import { loadMasterKey } from "../../mesh/vault/master-key.ts";
import { Vault } from "../../mesh/vault/vault.ts";

const VALUE = "the-value-of-the-source";
const TOKEN = "hvs.token-for-tests";
const AWS = { id: "AKIDEXAMPLE0000001", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };

let folder: string;
let server: Server;
let store: Store;
let vault: Vault;
const ask = endpoint(null);
const none = new AbortController().signal;
/** What the servers were asked, and what they are to do wrong. */
const asked: string[] = [];
let trouble: "none" | "down" | "500" | "html" | "huge" | "redirect" | "slow lease" = "none";
let lease = 0;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "cordon-source-"));
  server = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  store = await openStore({ path: folder, mode: "inline" });
  const audit = { record: (_event: unknown, writes: Parameters<Store["commit"]>[0] = []) => store.commit(writes) };
  const clock: Clock = {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now(),
    sleep: () => new Promise(() => {}),
  };
  vault = new Vault({ store, audit, clock, key: loadMasterKey(folder, randomBytes), random: randomBytes });
  await vault.put("hv-token", new Secret(Buffer.from(TOKEN)), "test");
  await vault.put("aws-key", new Secret(Buffer.from(`${AWS.id}:${AWS.secret}`)), "test");
});

after(async () => {
  server.close();
  server.closeAllConnections();
  await ask.close();
  await store.close();
  rmSync(folder, { recursive: true });
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = "";
  for await (const piece of request as AsyncIterable<Buffer>) body += piece.toString();
  asked.push(`${request.method} ${request.url}`);
  if (trouble === "down") return void request.socket.destroy();
  if (trouble === "500") return void response.writeHead(500).end(`{"errors":["${VALUE}"]}`);
  if (trouble === "html") return void response.end("<html>");
  if (trouble === "huge") return void response.end(`"${"x".repeat(400_000)}"`);
  if (trouble === "redirect") return void response.writeHead(302, { location: "/elsewhere" }).end();
  if (request.url === "/") return amazon(request, response, body);
  if (request.headers["x-vault-token"] !== TOKEN)
    return void response.writeHead(403).end('{"errors":["permission denied"]}');
  if (request.url === "/v1/database/creds/reader") lease++;
  const answers: Record<string, object> = {
    "GET /v1/secret/data/app": {
      lease_id: "",
      renewable: false,
      lease_duration: 0,
      data: { data: { key: VALUE, n: 1 }, metadata: { version: 3 } },
    },
    "GET /v1/kv/app": { lease_id: "", renewable: false, lease_duration: 2_764_800, data: { key: VALUE } },
    "GET /v1/database/creds/reader": {
      lease_id: `database/creds/reader/${lease}`,
      renewable: true,
      lease_duration: 3_600,
      data: { password: `${VALUE}-${lease}` },
    },
    "PUT /v1/sys/leases/renew": { lease_id: "x", renewable: true, lease_duration: 1_800 },
    "PUT /v1/sys/leases/revoke": {},
  };
  const answer =
    trouble === "slow lease" && request.url?.endsWith("renew")
      ? undefined
      : answers[`${request.method} ${request.url}`];
  response
    .writeHead(answer ? 200 : 404, { "content-type": "application/json" })
    .end(JSON.stringify(answer ?? { errors: [] }));
}

function amazon(request: IncomingMessage, response: ServerResponse, body: string): void {
  const authorization = request.headers.authorization ?? "";
  const right =
    request.headers["x-amz-target"] === "secretsmanager.GetSecretValue" &&
    authorization.startsWith(`AWS4-HMAC-SHA256 Credential=${AWS.id}/`) &&
    authorization.includes("/eu-central-1/secretsmanager/aws4_request") &&
    authorization.includes("x-amz-target");
  const { SecretId } = JSON.parse(body) as { SecretId: string };
  const text = { plain: VALUE, object: JSON.stringify({ password: VALUE, port: 5432 }) }[SecretId];
  if (!right || text === undefined) return void response.writeHead(400).end('{"__type":"ResourceNotFoundException"}');
  response.end(JSON.stringify({ ARN: "x", Name: SecretId, SecretString: text, VersionId: "1" }));
}

const origin = (): URL => new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
const hashicorp = (path: string, field: string, token = "hv-token"): HashicorpSource =>
  new HashicorpSource({ address: origin(), path, field, token, namespace: null }, vault, ask);
const amazonSource = (secretId: string, field: string | null, key = "aws-key"): AwsSecretsSource =>
  new AwsSecretsSource({ region: "eu-central-1", secretId, field, key, endpoint: origin() }, vault, ask, () =>
    Date.now(),
  );
function file(text: string, mode = 0o600): SecretSource {
  const path = join(folder, `secret-${randomBytes(4).toString("hex")}`);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return fileSource(path);
}

const good: Readonly<Record<string, () => SecretSource>> = {
  "HashiCorp KV version 2": () => hashicorp("secret/data/app", "key"),
  "HashiCorp KV version 1": () => hashicorp("kv/app", "key"),
  "AWS Secrets Manager, plain": () => amazonSource("plain", null),
  "AWS Secrets Manager, a field": () => amazonSource("object", "password"),
  "a file": () => file(`${VALUE}\n`),
  "the environment": () => environmentSource("A_KEY", (name) => ({ A_KEY: VALUE })[name]),
};

for (const [name, make] of Object.entries(good)) {
  test(`${name}: gives the value, which shows in nothing that prints it`, async () => {
    const minted = await make().mint(none);
    assert.ok(minted.ok, inspect(minted));
    assert.equal(
      minted.value.value.reveal((bytes) => Buffer.from(bytes).toString()),
      VALUE,
    );
    assert.equal(minted.value.expiresInMs, null);
    assert.ok(!`${inspect(minted, { depth: 9, showHidden: true })}${JSON.stringify(minted)}`.includes(VALUE));
  });
}

const bad: Readonly<Record<string, () => SecretSource>> = {
  "a path that is not there": () => hashicorp("secret/data/none", "key"),
  "a field that is not there": () => hashicorp("secret/data/app", "other"),
  "a field that is no text": () => hashicorp("secret/data/app", "n"),
  "a token that is not in the vault": () => hashicorp("secret/data/app", "key", "none"),
  "a token that is refused": () => hashicorp("secret/data/app", "key", "aws-key"),
  "a secret that is not there": () => amazonSource("none", null),
  "an AWS field that is not there": () => amazonSource("object", "none"),
  "an AWS field of a plain text": () => amazonSource("plain", "password"),
  "an AWS key of another form": () => amazonSource("plain", null, "hv-token"),
  "a file that others can read": () => file(VALUE, 0o640),
  "a variable that is not set": () => environmentSource("NO_KEY", () => undefined),
};

for (const [name, make] of Object.entries(bad)) {
  test(`${name}: is told with its fix, and not tried again and again`, async () => {
    const minted = await make().mint(none);
    assert.ok(
      !minted.ok && minted.error.final && minted.error.reason !== "" && minted.error.fix !== "",
      inspect(minted),
    );
    assert.ok(!inspect(minted).includes(VALUE) && !inspect(minted).includes(TOKEN));
  });
}

for (const fault of ["down", "500", "html", "huge", "redirect"] as const) {
  test(`a server that is ${fault}: a fault that may pass, without a word of what it said`, async () => {
    trouble = fault;
    try {
      for (const make of [good["HashiCorp KV version 2"], good["AWS Secrets Manager, plain"]]) {
        const minted = await make!().mint(none);
        assert.ok(!minted.ok && !minted.error.final, inspect(minted));
        assert.ok(!inspect(minted).includes(VALUE));
      }
      assert.ok(!asked.includes("GET /elsewhere"), "redirects are not followed");
    } finally {
      trouble = "none";
    }
  });
}

test("a dynamic secret: its lease is renewed as long as the server lets it be, then a new one is asked for, and revoked at the end", async () => {
  const source = hashicorp("database/creds/reader", "password");
  const shown = async (): Promise<[string, number | null]> => {
    const minted = await source.mint(none);
    assert.ok(minted.ok);
    return [minted.value.value.reveal((bytes) => Buffer.from(bytes).toString()), minted.value.expiresInMs];
  };
  const first = lease + 1;
  assert.deepEqual(await shown(), [`${VALUE}-${first}`, 3_600_000]);
  assert.deepEqual(await shown(), [`${VALUE}-${first}`, 1_800_000]);
  trouble = "slow lease";
  assert.deepEqual(await shown(), [`${VALUE}-${first + 1}`, 3_600_000]);
  trouble = "none";
  asked.length = 0;
  await source.forget(none);
  assert.deepEqual(asked, ["PUT /v1/sys/leases/revoke"]);
});

test("a keeper asks a source once for all who want its value at the same moment, and stores what it gets", async () => {
  let calls = 0;
  const gate = Promise.withResolvers<void>();
  const source: SecretSource = {
    mint: async (signal) => {
      calls++;
      await gate.promise;
      return fileSource(join(folder, "single")).mint(signal);
    },
  };
  writeFileSync(join(folder, "single"), VALUE, { mode: 0o600 });
  const clock: Clock = { nowMs: () => Date.now(), monotonicMs: () => 0, sleep: () => new Promise(() => {}) };
  const keeper = new CredentialKeeper({
    ...{ vault, clock, monitor: { emit: () => undefined }, chance: () => 0 },
    kept: new Map([["single", { source, everyMs: 1_000 }]]),
  });
  const all = Array.from({ length: 20 }, () => keeper.refresh("single", none));
  gate.resolve();
  for (const each of await Promise.all(all)) assert.ok(each.ok);
  assert.equal(calls, 1);
  assert.equal(vault.list().find(({ name }) => name === "single")?.version, 1);
  assert.equal(
    vault.reveal("single")?.secret.reveal((bytes) => Buffer.from(bytes).toString()),
    VALUE,
  );
});
