import { err, ok, type Result } from "../../../lib/result.ts";
import type { Secret } from "../../../lib/redact.ts";
import { objectOf, type Endpoint, type JsonObject } from "./endpoint.ts";
import { base64Of, keyIn, wrapFault, type KeyWrapper, type WrapFault } from "./key-wrapper.ts";

/** A key of the transit engine of HashiCorp Vault or OpenBao, and who may use it. */
export interface TransitSetting {
  readonly address: string;
  readonly mount: string;
  readonly key: string;
  readonly namespace: string | null;
  readonly token: Secret;
}

/** developer.hashicorp.com/vault/api-docs/secret/transit, "Encrypt Data" and "Decrypt Data". */
export function transitWrapper(setting: TransitSetting, ask: Endpoint): KeyWrapper {
  const { address } = setting;
  return {
    async wrap(plain, signal) {
      const answer = await call(setting, ask, "encrypt", { plaintext: base64Of(plain) }, signal);
      if (!answer.ok) return answer;
      const ciphertext = answer.value["ciphertext"];
      return typeof ciphertext === "string" && CIPHERTEXT.test(ciphertext)
        ? ok(ciphertext)
        : err(wrapFault(address, "answered without a ciphertext", "look at the address and at the mount"));
    },
    async unwrap(ciphertext, signal) {
      const answer = await call(setting, ask, "decrypt", { ciphertext }, signal);
      return answer.ok ? keyIn(address, answer.value["plaintext"]) : answer;
    },
  };
}

const CIPHERTEXT = /^vault:v\d{1,9}:[A-Za-z0-9+/=]{1,8192}$/;

async function call(
  setting: TransitSetting,
  ask: Endpoint,
  verb: "encrypt" | "decrypt",
  body: { readonly [name: string]: string },
  signal: AbortSignal,
): Promise<Result<JsonObject, WrapFault>> {
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
  if (!answer.ok) return err(wrapFault(address, `did not answer: ${answer.error}`, "see whether it can be reached"));
  if (answer.value.status === 200) return ok(objectOf(answer.value.body["data"]));
  const what = `refused to ${verb} with the key \`${key}\` (${answer.value.status})`;
  return err(
    wrapFault(address, what, "look at the key, and at what the token may do; a sealed server must be unsealed"),
  );
}
