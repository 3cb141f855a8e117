/** Every grant against a real OAuth server, through a real mesh; the agents' handle stays while tokens come and go. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";
import { authorizationServer, person, type AuthorizationServer } from "./server.ts";

const ACCESS_SECONDS = 8;
const names = ["person", "device", "machine", "signer"] as const;
const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const der = (key: typeof privateKey, type: "pkcs8" | "spki"): string =>
  key.export({ format: "der", type }).toString("base64");

/** Asks each service again and again, and tells what it got. */
const agent = `
import { ask, tell } from "./prelude.mjs";
for (let turn = 0; ; turn++) {
  for (const name of ${JSON.stringify(names)}) {
    const answer = await ask("POST", "/openai/v1/chat/completions", { model: name + "/m", max_tokens: 16, messages: [{ role: "user", content: "turn " + turn }] });
    tell("got", { name, turn, status: answer.status, text: answer.text.slice(0, 400) });
  }
  await new Promise((next) => setTimeout(next, 300));
}
`;

let oauth: AuthorizationServer;
let api: Server;
let mesh: MeshFixture;
/** Service → the tokens it was asked with, and whether each was good at that moment. */
const used = new Map<string, { token: string; good: boolean }[]>();

before(async () => {
  oauth = await authorizationServer({ accessSeconds: ACCESS_SECONDS, assertionKey: der(publicKey, "spki") });
  api = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => api.listen(0, "127.0.0.1", resolve));
  const { port } = api.address() as AddressInfo;
  const provider = (name: string): string =>
    `  ${name}: { api: openai, base_url: "http://127.0.0.1:${port}/${name}", credential: ${name}, price: { input: 0, output: 0 } }`;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: tokens
providers:
${names.map(provider).join("\n")}
sources:
  person: { oauth: { grant: authorization_code, authorize_url: "${oauth.url}/auth", token_url: "${oauth.url}/token", revoke_url: "${oauth.url}/token/revocation", client_id: person, scopes: [openid] } }
  device: { oauth: { grant: device_code, device_url: "${oauth.url}/device/auth", token_url: "${oauth.url}/token", client_id: device, scopes: [openid] } }
  machine: { oauth: { grant: client_credentials, token_url: "${oauth.url}/token", client_id: machine, client_secret: machine-secret } }
  signer: { oauth: { grant: jwt_bearer, token_url: "${oauth.url}/token", client_id: signer, key: signing-key, subject: the-service } }
agents:
  caller:
    model: machine/m
    command: [/bin/node, /code/call.mjs]
    code: code
    may: { models: ["person/m", "device/m", "signer/m"] }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/call.mjs": agent,
  });
  await mesh.desk.addCredential("machine-secret", Buffer.from("machine-secret/with+signs"));
  await mesh.desk.addCredential("signing-key", Buffer.from(der(privateKey, "pkcs8")));
});

after(async () => {
  await mesh.stop();
  api.closeAllConnections();
  api.close();
  oauth.close();
});

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  for await (const piece of request) void piece;
  const name = (request.url ?? "").split("/")[1] ?? "";
  const token = (request.headers.authorization ?? "").slice("Bearer ".length);
  const good = await oauth.active(token);
  used.set(name, [...(used.get(name) ?? []), { token, good }]);
  const usage = { prompt_tokens: 1, completion_tokens: 1 };
  // A service that repeats the token must not bring it to the agent.
  const choices = [{ index: 0, message: { role: "assistant", content: `${name} ${token}` }, finish_reason: "stop" }];
  response
    .writeHead(good ? 200 : 401, { "content-type": "application/json" })
    .end(JSON.stringify({ id: "x", choices, usage }));
}

const goodTokens = (name: string): string[] => [
  ...new Set((used.get(name) ?? []).filter(({ good }) => good).map(({ token }) => token)),
];

/** `cordon credential login`, as a process; resolves when it has printed what `until` finds. */
function cli(words: readonly string[]): { readonly said: () => string; readonly code: Promise<number>; kill(): void } {
  const program = fileURLToPath(new URL("../../user/cli/main.ts", import.meta.url));
  const child = spawn(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", program, ...words, "--state", mesh.state],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (said += piece.toString()));
  return {
    said: () => said,
    code: new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 255))),
    kill: () => void child.kill(),
  };
}

const address = (process: { said(): string }, form: RegExp): Promise<RegExpExecArray> =>
  eventually("an address", () => Promise.resolve(form.exec(process.said()) ?? undefined));

test("a log-in in the browser, with PKCE, at a loopback address", async () => {
  const login = cli(["credential", "login", "person"]);
  const [url] = await address(login, /http:\/\/127\.0\.0\.1:\d+\/auth\?\S+/);
  assert.match(url, /code_challenge_method=S256/);
  assert.match(await (await person(url)).text(), /Cordon has taken it/);
  assert.equal(await login.code, 0, login.said());
  assert.match(login.said(), /`person` is logged in/);
  assert.ok(oauth.grants.includes("authorization_code"));
});

test("an answer of another log-in, a code used twice and a refusal are told", async () => {
  const login = cli(["credential", "login", "person"]);
  const [url] = await address(login, /http:\/\/127\.0\.0\.1:\d+\/auth\?\S+/);
  const redirect = new URL(url).searchParams.get("redirect_uri") ?? "";
  await fetch(`${redirect}?state=another&code=stolen`);
  assert.equal(await login.code, 1);
  assert.match(login.said(), /belongs to another log-in/);
  await assert.rejects(mesh.desk.finishLogin(new URL(url).searchParams.get("state") ?? "", "made-up"), /invalid_grant/);
  await assert.rejects(
    mesh.desk.finishLogin(new URL(url).searchParams.get("state") ?? "", "made-up"),
    /no such log-in/,
  );
  const refused = cli(["credential", "login", "person"]);
  const [other] = await address(refused, /http:\/\/127\.0\.0\.1:\d+\/auth\?\S+/);
  await fetch(`${new URL(other).searchParams.get("redirect_uri")}?error=access_denied`);
  assert.equal(await refused.code, 1);
  assert.match(refused.said(), /refused: `access_denied`/);
  const none = cli(["credential", "login", "machine"]);
  assert.equal(await none.code, 1);
  assert.match(none.said(), /needs no log-in/);
});

test("a log-in with a code on another device", async () => {
  const login = cli(["credential", "login", "device"]);
  const [, url = "", code = ""] = await address(login, /open (\S+) on any device and enter the code (\S+)/);
  assert.equal((await person(url, { user_code: code })).status, 200);
  assert.equal(await login.code, 0, login.said());
  assert.ok(oauth.grants.includes("urn:ietf:params:oauth:grant-type:device_code"));
});

test("every service is called with good tokens that change, under one name, and agents see none", async () => {
  for (const name of names)
    await eventually(
      `three tokens of ${name}`,
      () => Promise.resolve(goodTokens(name).length >= 3 || undefined),
      60_000,
    );
  for (const grant of ["refresh_token", "client_credentials", "urn:ietf:params:oauth:grant-type:jwt-bearer"])
    assert.ok(oauth.grants.filter((each) => each === grant).length >= 2, grant);
  // Refreshed before it ends: from the first good one on, no token that has ended was sent.
  for (const name of names) {
    const rows = used.get(name) ?? [];
    const first = rows.findIndex(({ good }) => good);
    assert.equal(
      rows.slice(first).filter(({ good }) => !good).length,
      0,
      `${name} was asked with a token that had ended`,
    );
  }
  const seen = JSON.stringify(await printed(mesh, "caller", "got"));
  assert.ok(seen.includes("sent the credential back"), "the services really repeated it");
  for (const name of names) for (const token of goodTokens(name)) assert.ok(!seen.includes(token), name);
  const { credentials } = await mesh.desk.credentials();
  const listed = JSON.stringify(credentials);
  for (const name of names) for (const token of goodTokens(name)) assert.ok(!listed.includes(token));
  assert.ok(credentials.some(({ name }) => name === "person-refresh"));
});

test("a revoked one is taken back at the server, too, and does not come again by itself", async () => {
  const last = goodTokens("person").at(-1) ?? "";
  await mesh.desk.revokeCredential("person");
  assert.equal(await oauth.active(last), false);
  const refusals = async (): Promise<number> =>
    (await printed(mesh, "caller", "got")).filter(
      (row) => row["name"] === "person" && String(row["text"]).includes("holds no credential"),
    ).length;
  const from = await refusals();
  await eventually("refused calls", async () => ((await refusals()) > from + 3 ? true : undefined));
  assert.ok(!(await mesh.desk.credentials()).credentials.some(({ name }) => name.startsWith("person")));
  assert.equal((await mesh.desk.verifyAudit()).ok, true);
});
