import { Secret } from "../../lib/redact.ts";
import { err, ok } from "../../lib/result.ts";
import { CredentialInput, LoginCode, LoginInput } from "../../protocol/credential.ts";
import { refusal } from "../../protocol/refusal.ts";
import { parse, type Answer, type DeskRequest, type Handler } from "./request.ts";
import { operator, type DeskServices } from "./services.ts";

/** The vault for people: values go in and never come out. */
export const vaultRoutes: Readonly<Record<string, Handler>> = {
  "GET /v1/credentials": ({ credentials }) => ok({ credentials: credentials.list() }),
  "GET /v1/credential-uses": ({ credentials }) => ok(credentials.usage()),
  "POST /v1/credentials": putCredential,
  "POST /v1/credentials/*/revoke": revokeCredential,
  "POST /v1/credentials/*/login": login,
  "POST /v1/logins/*": finishLogin,
  "POST /v1/vault/rotate": async ({ credentials }) => ok(await credentials.rotateMasterKey(operator).then(() => null)),
};

async function putCredential({ credentials }: DeskServices, { body }: DeskRequest): Promise<Answer> {
  const input = parse(CredentialInput, body);
  if (!input.ok) return input;
  const { name, valueBase64, ...options } = input.value;
  const secret = new Secret(Buffer.from(valueBase64, "base64"));
  try {
    const stored = await credentials.put(name, secret, operator, options);
    return stored.ok ? ok(null) : err(refusal("malformed", stored.error.reason, stored.error.fix));
  } finally {
    secret.erase();
  }
}

async function login({ credentials }: DeskServices, { name, body }: DeskRequest): Promise<Answer> {
  const input = parse(LoginInput, body);
  if (!input.ok) return input;
  const started = await credentials.login(name, input.value.redirectUri ?? null);
  return started.ok ? started : err(refusal("upstream_failed", started.error.reason, started.error.fix));
}

/** The name is the `state` of the log-in. */
async function finishLogin({ credentials }: DeskServices, { name, body }: DeskRequest): Promise<Answer> {
  const input = parse(LoginCode, body);
  if (!input.ok) return input;
  const finished = await credentials.finishLogin(name, input.value.code);
  return finished.ok ? ok(null) : err(refusal("upstream_failed", finished.error.reason, finished.error.fix));
}

async function revokeCredential({ credentials }: DeskServices, { name }: DeskRequest): Promise<Answer> {
  return (await credentials.revoke(name, operator))
    ? ok(null)
    : err(refusal("not_found", `no credential \`${name.slice(0, 64)}\``, "see `cordon credential list`"));
}
