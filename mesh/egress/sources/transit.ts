import type { Json } from "../../../lib/json.ts";
import { Secret } from "../../../lib/redact.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { objectOf, type Endpoint } from "./endpoint.ts";

/** A key of the transit engine of HashiCorp Vault or OpenBao, and who may use it. */
export interface TransitSetting {
  readonly address: string;
  readonly mount: string;
  readonly key: string;
  readonly namespace: string | null;
  readonly token: Secret;
}

/** Neither repeats what was sent or answered. */
export interface TransitFault {
  readonly reason: string;
  readonly fix: string;
}

/** developer.hashicorp.com/vault/api-docs/secret/transit, "Encrypt Data": the key for the disk, as the server wraps it. */
export async function wrap(
  setting: TransitSetting,
  ask: Endpoint,
  plain: Secret,
  signal: AbortSignal,
): Promise<Result<string, TransitFault>> {
  const plaintext = plain.reveal((bytes) => Buffer.from(bytes).toString("base64"));
  const answer = await call(setting, ask, "encrypt", { plaintext }, signal);
  if (!answer.ok) return answer;
  const ciphertext = answer.value["ciphertext"];
  return typeof ciphertext === "string" && CIPHERTEXT.test(ciphertext)
    ? ok(ciphertext)
    : err(fault(setting, "answered without a ciphertext", "look at the address and at the mount"));
}

/** The same, "Decrypt Data". */
export async function unwrap(
  setting: TransitSetting,
  ask: Endpoint,
  ciphertext: string,
  signal: AbortSignal,
): Promise<Result<Secret, TransitFault>> {
  const answer = await call(setting, ask, "decrypt", { ciphertext }, signal);
  if (!answer.ok) return answer;
  const plaintext = answer.value["plaintext"];
  if (typeof plaintext !== "string" || !BASE64.test(plaintext))
    return err(fault(setting, "answered without a plaintext", "look at the address and at the mount"));
  const bytes = Buffer.from(plaintext, "base64");
  if (bytes.length === KEY_BYTES) return ok(new Secret(bytes));
  bytes.fill(0);
  return err(fault(setting, "unwraps something that is no key", "look at the address and at its key"));
}

const KEY_BYTES = 32;
const CIPHERTEXT = /^vault:v\d{1,9}:[A-Za-z0-9+/=]{1,8192}$/;
const BASE64 = /^[A-Za-z0-9+/]{1,1024}={0,2}$/;

async function call(
  setting: TransitSetting,
  ask: Endpoint,
  verb: "encrypt" | "decrypt",
  body: { readonly [name: string]: string },
  signal: AbortSignal,
): Promise<Result<{ readonly [name: string]: Json | undefined }, TransitFault>> {
  const { address, mount, key, namespace, token } = setting;
  const answer = await ask(
    {
      method: "POST",
      url: new URL(`${address.replace(/\/$/, "")}/v1/${mount}/${verb}/${key}`),
      headers: {
        "x-vault-token": token.reveal((bytes) => Buffer.from(bytes).toString("latin1")),
        "x-vault-request": "true",
        ...(namespace !== null && { "x-vault-namespace": namespace }),
        "content-type": "application/json",
      },
      body: JSON.stringify(body),
    },
    signal,
  );
  if (!answer.ok) return err(fault(setting, `did not answer: ${answer.error}`, "see whether it can be reached"));
  if (answer.value.status === 200) return ok(objectOf(answer.value.body["data"]));
  const what = `refused to ${verb} with the key \`${key}\` (${answer.value.status})`;
  return err(fault(setting, what, "look at the key, and at what the token may do; a sealed server must be unsealed"));
}

const fault = ({ address }: TransitSetting, what: string, fix: string): TransitFault => ({
  reason: `${new URL(address).origin} ${what}`,
  fix,
});
