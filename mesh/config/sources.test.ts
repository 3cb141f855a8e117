import assert from "node:assert/strict";
import { test } from "node:test";
import { parseFleet } from "./parse.ts";

const text = (sources: string, more = ""): string =>
  `version: 1\nfleet: f\nsources: { key: ${sources} }\n${more}agents:\n  a: { command: [/bin/a], model: rehearsal/echo }\n`;
const parsed = (sources: string) => {
  const fleet = parseFleet(text(sources), "/nowhere");
  assert.ok(fleet.ok, JSON.stringify(fleet));
  return fleet.value.sources?.[0];
};
const fault = (sources: string, more = ""): string => {
  const fleet = parseFleet(text(sources, more), "/nowhere");
  return fleet.ok ? "accepted" : fleet.error.map(({ message, fix }) => `${message} -> ${fix}`).join("; ");
};
const oauth = (parts: string): string => `{ oauth: { client_id: me, token_url: "https://id.test/token", ${parts} } }`;

test("each kind of source, with its defaults", () => {
  const login = parsed(oauth('grant: authorization_code, authorize_url: "https://id.test/auth", scopes: [a, b]'));
  assert.ok(login?.kind === "oauth" && login.oauth.authorizeUrl?.href === "https://id.test/auth");
  assert.deepEqual([login.everyMs, login.oauth.scopes, login.oauth.clientSecret], [300_000, ["a", "b"], null]);
  const vault = parsed(
    '{ every: 1m, hashicorp_vault: { address: "https://v.test", path: secret/data/app, field: key, token: v } }',
  );
  assert.ok(
    vault?.kind === "hashicorp" && vault.hashicorp.address.origin === "https://v.test" && vault.everyMs === 60_000,
  );
  const aws = parsed("{ aws_secrets_manager: { region: eu-central-1, secret_id: app/key, key: aws } }");
  assert.ok(
    aws?.kind === "aws" && aws.aws.secretId === "app/key" && aws.aws.field === null && aws.aws.endpoint === null,
  );
  const file = parsed("{ file: keys/one }");
  assert.ok(file?.kind === "file" && file.path === "/nowhere/keys/one");
  const environment = parsed("{ environment: OLD_KEY }");
  assert.ok(environment?.kind === "environment" && environment.variable === "OLD_KEY");
});

test("a source that is not whole, or would tell a secret, is refused with its fix", () => {
  for (const [sources, expected] of [
    ["{}", /exactly one source -> state one of oauth, hashicorp_vault/],
    ["{ file: a, environment: B }", /exactly one source/],
    [oauth("grant: authorization_code"), /`authorization_code` needs `authorize_url` -> state it/],
    [oauth("grant: device_code"), /needs `device_url`/],
    [oauth("grant: client_credentials"), /needs `client_secret`/],
    [oauth("grant: jwt_bearer"), /needs `key`/],
    [oauth("grant: token_exchange"), /needs `subject_token`/],
    [oauth("grant: password"), /grant/],
    [
      '{ oauth: { grant: client_credentials, client_secret: s, client_id: me, token_url: "http://id.test/token" } }',
      /clear text -> use https/,
    ],
    ['{ hashicorp_vault: { address: "http://v.test", path: a, field: b, token: c } }', /clear text/],
    ['{ hashicorp_vault: { address: "https://v.test", path: "../sys", field: b, token: c } }', /must be a path/],
    ["{ environment: lower }", /name of a variable/],
    ["{ every: 1s, file: a }", /10s or more/],
    ["{ every: 1d1, file: a }", /form `30s`|1d1/],
    ["{ file: a, unknown: b }", /unknown key `unknown`/],
  ] as const)
    assert.match(fault(sources), expected, sources);
});

test("hibernation has bounds", () => {
  const agent = (sandbox: string): string => fault("{ file: a }", `awake: 4\ndefaults: { sandbox: { ${sandbox} } }\n`);
  assert.equal(agent("hibernate: 10m"), "accepted");
  assert.match(agent("hibernate: 500ms"), /must be from `1s` to `7d`/);
  assert.match(agent("hibernate: 5"), /needs a unit/);
  assert.match(fault("{ file: a }", "awake: 0\n"), /awake/);
});
