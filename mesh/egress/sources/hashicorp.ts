import type { Json } from "../../../lib/json.ts";
import { Secret } from "../../../lib/redact.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Vault } from "../../vault/vault.ts";
import { objectOf, type Endpoint, type EndpointAnswer, type JsonObject } from "./endpoint.ts";
import { fault, type Minted, type MintFault, type SecretSource } from "./source.ts";

export interface HashicorpSetting {
  /** Of the server, without `/v1`. */
  readonly address: URL;
  /** As in its own API, without `/v1/`: `secret/data/app` of a KV version 2, `database/creds/reader` of a dynamic one. */
  readonly path: string;
  readonly field: string;
  /** Name of the credential with which Cordon asks. */
  readonly token: string;
  readonly namespace: string | null;
}

interface Lease {
  readonly id: string;
  readonly value: Buffer;
}

/**
 * HashiCorp Vault and OpenBao over their HTTP API (developer.hashicorp.com/vault/api-docs): KV version 2 and 1, and
 * dynamic secrets, whose leases are renewed as long as the server lets them be, and revoked at the end.
 */
export class HashicorpSource implements SecretSource {
  readonly #setting: HashicorpSetting;
  readonly #vault: Vault;
  readonly #ask: Endpoint;
  #lease: Lease | undefined;

  constructor(setting: HashicorpSetting, vault: Vault, ask: Endpoint) {
    this.#setting = setting;
    this.#vault = vault;
    this.#ask = ask;
  }

  async mint(signal: AbortSignal): Promise<Result<Minted, MintFault>> {
    const renewed = this.#lease && (await this.#renew(this.#lease, signal));
    if (renewed) return ok(renewed);
    const answer = await this.#call("GET", this.#setting.path, undefined, signal);
    if (!answer.ok) return answer;
    const value = valueIn(answer.value.body, this.#setting.field);
    if (value === undefined)
      return err(
        fault(`\`${this.#setting.path}\` has no text field \`${this.#setting.field}\``, "name one that it has", true),
      );
    const { lease_id: id, lease_duration: seconds, renewable } = answer.value.body;
    this.#drop();
    if (typeof id === "string" && id !== "" && renewable === true) this.#lease = { id, value: Buffer.from(value) };
    return ok({
      value: new Secret(Buffer.from(value)),
      expiresInMs: typeof id === "string" && id !== "" ? msOf(seconds) : null,
    });
  }

  async forget(signal: AbortSignal): Promise<void> {
    const lease = this.#lease;
    this.#drop();
    if (lease) await this.#call("PUT", "sys/leases/revoke", { lease_id: lease.id }, signal);
  }

  /** Undefined when the lease has reached its longest life: then a new secret is asked for. */
  async #renew(lease: Lease, signal: AbortSignal): Promise<Minted | undefined> {
    const answer = await this.#call("PUT", "sys/leases/renew", { lease_id: lease.id }, signal);
    const expiresInMs = answer.ok ? msOf(answer.value.body["lease_duration"]) : null;
    return expiresInMs === null ? undefined : { value: new Secret(Buffer.from(lease.value)), expiresInMs };
  }

  async #call(
    method: "GET" | "PUT",
    path: string,
    body: object | undefined,
    signal: AbortSignal,
  ): Promise<Result<EndpointAnswer, MintFault>> {
    const { address, token, namespace } = this.#setting;
    const found = this.#vault.reveal(token, { agent: "", destination: address.host });
    if (!found)
      return err(
        fault(`the vault holds no credential \`${token}\``, `add it with \`cordon credential add ${token}\``, true),
      );
    const headers = {
      "x-vault-token": found.secret.reveal((bytes) => Buffer.from(bytes).toString("latin1")),
      "x-vault-request": "true",
      ...(namespace !== null && { "x-vault-namespace": namespace }),
      ...(body && { "content-type": "application/json" }),
    };
    found.secret.erase();
    const url = new URL(`${address.href.replace(/\/$/, "")}/v1/${path}`);
    const answer = await this.#ask({ method, url, headers, ...(body && { body: JSON.stringify(body) }) }, signal);
    if (!answer.ok)
      return err(fault(`${address.origin} did not answer: ${answer.error}`, "see whether it can be reached"));
    const { status } = answer.value;
    if (status === 200 || status === 204) return answer;
    const final = status === 403 || status === 404;
    return err(
      fault(
        `${address.origin} refused \`${path}\` with ${status}`,
        "look at the path and at what the token may read",
        final,
      ),
    );
  }

  #drop(): void {
    this.#lease?.value.fill(0);
    this.#lease = undefined;
  }
}

/** KV version 2 nests: `data.data.FIELD`; all others `data.FIELD`. */
function valueIn(body: JsonObject, field: string): string | undefined {
  const data = objectOf(body["data"]);
  const inner = "metadata" in data ? objectOf(data["data"]) : data;
  const value = inner[field];
  return typeof value === "string" ? value : undefined;
}

/** In whole milliseconds, however a server counts: what does not fit the store would end the mesh. */
const msOf = (seconds: Json | undefined): number | null =>
  typeof seconds === "number" && seconds > 0
    ? Math.min(Math.ceil(seconds * 1_000), limits.credential.expiryMsMax)
    : null;
