import { parseJson } from "../../../lib/json.ts";
import { Secret } from "../../../lib/redact.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Vault } from "../../vault/vault.ts";
import { awsKeyOf, signAws } from "../signing.ts";
import { objectOf, type Endpoint } from "./endpoint.ts";
import { fault, type Minted, type MintFault, type SecretSource } from "./source.ts";

export interface AwsSecretsSetting {
  readonly region: string;
  /** Name or ARN. */
  readonly secretId: string;
  /** Of a secret that is a JSON object; null = the whole text. */
  readonly field: string | null;
  /** Name of the credential with which Cordon asks. */
  readonly key: string;
  /** Of the service; null = the region's own. */
  readonly endpoint: URL | null;
}

/** AWS Secrets Manager, `GetSecretValue` (docs.aws.amazon.com/secretsmanager/latest/apireference), signed with version 4. */
export class AwsSecretsSource implements SecretSource {
  readonly #setting: AwsSecretsSetting;
  readonly #vault: Vault;
  readonly #ask: Endpoint;
  readonly #nowMs: () => number;

  constructor(setting: AwsSecretsSetting, vault: Vault, ask: Endpoint, nowMs: () => number) {
    this.#setting = setting;
    this.#vault = vault;
    this.#ask = ask;
    this.#nowMs = nowMs;
  }

  async mint(signal: AbortSignal): Promise<Result<Minted, MintFault>> {
    const { region, secretId, field, key } = this.#setting;
    const url = this.#setting.endpoint ?? new URL(`https://secretsmanager.${region}.amazonaws.com/`);
    const found = this.#vault.reveal(key, { agent: "", destination: url.host });
    const awsKey = found?.secret.reveal((bytes) => awsKeyOf(Buffer.from(bytes).toString("latin1")));
    found?.secret.erase();
    if (!awsKey)
      return err(
        fault(`the vault holds no AWS key \`${key}\``, `\`cordon credential add ${key}\` with ID:SECRET`, true),
      );
    const body = Buffer.from(JSON.stringify({ SecretId: secretId }));
    const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": "secretsmanager.GetSecretValue" };
    const signed = signAws(
      { method: "POST", url, headers, body, region, service: "secretsmanager", atMs: this.#nowMs() },
      awsKey,
    );
    const answer = await this.#ask({ method: "POST", url, headers: { ...headers, ...signed }, body }, signal);
    if (!answer.ok) return err(fault(`${url.origin} did not answer: ${answer.error}`, "see whether it can be reached"));
    if (answer.value.status !== 200) {
      const final = answer.value.status === 400 || answer.value.status === 403;
      return err(
        fault(
          `${url.origin} refused with ${answer.value.status}`,
          "look at the secret's name and the key's rights",
          final,
        ),
      );
    }
    const text = answer.value.body["SecretString"];
    const value = typeof text === "string" ? textIn(text, field) : undefined;
    return value === undefined
      ? err(fault(`\`${secretId}\` holds no such text`, "name a `field` that it has", true))
      : ok({ value: new Secret(Buffer.from(value)), expiresInMs: null });
  }
}

function textIn(text: string, field: string | null): string | undefined {
  if (field === null) return text;
  const parsed = parseJson(Buffer.from(text), limits.source.jsonDepthMax);
  const value = parsed.ok ? objectOf(parsed.value)[field] : undefined;
  return typeof value === "string" ? value : undefined;
}
