import { Secret } from "../../../lib/redact.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Endpoint, JsonObject } from "./endpoint.ts";
import { signAssertion } from "./assertion.ts";
import { fault, type Minted, type MintFault, type SecretSource } from "./source.ts";

/** RFC 6749 §4.1 with RFC 7636 · RFC 8628 · RFC 6749 §4.4 · RFC 7523 §2.1 · RFC 8693 §2.1 */
export type Grant = "authorization_code" | "device_code" | "client_credentials" | "jwt_bearer" | "token_exchange";

export interface OAuthSetting {
  readonly grant: Grant;
  readonly tokenUrl: URL;
  readonly authorizeUrl: URL | null;
  readonly deviceUrl: URL | null;
  readonly revokeUrl: URL | null;
  readonly clientId: string;
  /** Name of a credential; null = a public client. */
  readonly clientSecret: string | null;
  readonly scopes: readonly string[];
  readonly audience: string | null;
  /** Of `jwt_bearer`: the name of the credential that signs (base64 of a PKCS #8 key), and whom it speaks for. */
  readonly key: string | null;
  readonly subject: string | null;
  /** Of `token_exchange`: the name of the credential that is exchanged. */
  readonly subjectToken: string | null;
}

export interface OAuthParts {
  readonly vault: Vault;
  readonly ask: Endpoint;
  readonly nowMs: () => number;
  readonly newId: () => string;
}

/** The credential that keeps the refresh token of `name`. */
export const refreshName = (name: string): string => `${name}-refresh`;

type Form = Readonly<Record<string, string>>;

/** Access tokens of one OAuth client. The tokens live in the vault; nothing here keeps one. */
export class OAuthSource implements SecretSource {
  readonly #name: string;
  readonly #setting: OAuthSetting;
  readonly #parts: OAuthParts;

  constructor(name: string, setting: OAuthSetting, parts: OAuthParts) {
    this.#name = name;
    this.#setting = setting;
    this.#parts = parts;
  }

  get setting(): OAuthSetting {
    return this.#setting;
  }

  async mint(signal: AbortSignal): Promise<Result<Minted, MintFault>> {
    const form = this.#form();
    return form.ok ? this.exchange(form.value, signal) : form;
  }

  /** Asks for tokens with a grant; a refresh token that comes along is stored before the access token is given out. */
  async exchange(grant: Form, signal: AbortSignal): Promise<Result<Minted, MintFault>> {
    const revocations = this.#parts.vault.revocations(refreshName(this.#name));
    const answer = await this.post(this.#setting.tokenUrl, grant, signal);
    if (!answer.ok) return answer;
    const { access_token: access, token_type: type, expires_in: expires, refresh_token: refresh } = answer.value;
    if (typeof access !== "string" || typeof type !== "string" || type.toLowerCase() !== "bearer")
      return err(
        fault(`${this.#setting.tokenUrl.origin} gave no bearer token`, "look at the settings of the client there"),
      );
    if (typeof refresh === "string") {
      const kept = await this.#keep(refresh, revocations);
      if (!kept.ok) return kept;
    }
    const seconds = typeof expires === "number" && expires > 0 ? expires : null;
    const expiresInMs = seconds === null ? null : Math.min(safeForMs(seconds), limits.credential.expiryMsMax);
    return ok({ value: new Secret(Buffer.from(access)), expiresInMs });
  }

  /** A form to one of the client's endpoints, with the client's authentication (RFC 6749 §2.3.1). */
  async post(url: URL, form: Form, signal: AbortSignal): Promise<Result<JsonObject, MintFault>> {
    const { clientId, clientSecret } = this.#setting;
    const headers: Record<string, string> = { "content-type": "application/x-www-form-urlencoded" };
    if (clientSecret !== null) {
      const basic = this.#revealed(
        clientSecret,
        (text) => `${encodeURIComponent(clientId)}:${encodeURIComponent(text)}`,
      );
      if (!basic.ok) return basic;
      headers["authorization"] = `Basic ${Buffer.from(basic.value).toString("base64")}`;
    }
    const body = new URLSearchParams(clientSecret === null ? { ...form, client_id: clientId } : form).toString();
    const answer = await this.#parts.ask({ method: "POST", url, headers, body }, signal);
    if (!answer.ok) return err(fault(`${url.origin} did not answer: ${answer.error}`, "see whether it can be reached"));
    if (answer.value.status >= 200 && answer.value.status < 300) return ok(answer.value.body);
    const code = codeOf(answer.value.body["error"]);
    const words = `${url.origin} refused with ${answer.value.status}${code === "" ? "" : ` \`${code}\``}`;
    // `invalid_grant`: the refresh token has ended or was taken back; only a person can begin anew.
    return err({ ...fault(words, this.#remedy(code), FINAL.has(code)), code });
  }

  async forget(signal: AbortSignal): Promise<void> {
    const { revokeUrl } = this.#setting;
    if (revokeUrl === null) return;
    // Both now: while the server is told of the first, the vault erases the second.
    const tokens = [refreshName(this.#name), this.#name].map((name) => this.#revealed(name, (text) => text));
    for (const token of tokens) {
      // RFC 7009 §2.2: whatever the server says, there is nothing more to do here.
      if (token.ok) await this.post(revokeUrl, { token: token.value }, signal);
    }
  }

  #form(): Result<Form, MintFault> {
    const { grant, scopes, audience, key, subject, subjectToken, clientId, tokenUrl } = this.#setting;
    const more = { ...(scopes.length > 0 && { scope: scopes.join(" ") }), ...(audience !== null && { audience }) };
    switch (grant) {
      case "client_credentials":
        return ok({ grant_type: grant, ...more });
      case "jwt_bearer": {
        const claims = { iss: clientId, sub: subject ?? clientId, aud: audience ?? tokenUrl.href };
        const { nowMs, newId } = this.#parts;
        const signed = this.#revealed(key ?? "", (text) => signAssertion(claims, text, nowMs(), newId()));
        if (!signed.ok) return signed;
        if (signed.value === undefined)
          return err(fault(`credential \`${key}\` is no key`, "store base64 of a PKCS #8 key in DER", true));
        const scope = scopes.length > 0 ? { scope: scopes.join(" ") } : {};
        return ok({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: signed.value, ...scope });
      }
      case "token_exchange": {
        const token = this.#revealed(subjectToken ?? "", (text) => text);
        if (!token.ok) return token;
        const types = { subject_token_type: "urn:ietf:params:oauth:token-type:access_token" };
        return ok({
          grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
          subject_token: token.value,
          ...types,
          ...more,
        });
      }
      default: {
        const token = this.#revealed(refreshName(this.#name), (text) => text);
        return token.ok
          ? ok({ grant_type: "refresh_token", refresh_token: token.value })
          : err(fault(`nobody has logged in for \`${this.#name}\``, this.#remedy("login"), true));
      }
    }
  }

  #revealed<T>(name: string, use: (text: string) => T): Result<T, MintFault> {
    const found = this.#parts.vault.reveal(name, { agent: "", destination: this.#setting.tokenUrl.host });
    if (!found)
      return err(
        fault(`the vault holds no credential \`${name}\``, `add it with \`cordon credential add ${name}\``, true),
      );
    const value = found.secret.reveal((bytes) => use(Buffer.from(bytes).toString("latin1")));
    found.secret.erase();
    return ok(value);
  }

  async #keep(refresh: string, revocations: number): Promise<Result<null, MintFault>> {
    const secret = new Secret(Buffer.from(refresh));
    const stored = await this.#parts.vault.put(refreshName(this.#name), secret, "mesh", {
      revocations,
      overlapMs: limits.credential.overlapMsDefault,
    });
    secret.erase();
    return stored.ok
      ? stored
      : err(fault(`the refresh token cannot be kept: ${stored.error.reason}`, stored.error.fix));
  }

  #remedy(code: string): string {
    const loggedIn = this.#setting.grant === "authorization_code" || this.#setting.grant === "device_code";
    if (loggedIn && (code === "invalid_grant" || code === "login")) return `cordon credential login ${this.#name}`;
    return `look at \`sources.${this.#name}\` in the fleet file, and at the client's settings there`;
  }
}

/** A token that ends on its way to a service is of no use: the last quarter of a short life, or half a minute, is not used. */
const safeForMs = (seconds: number): number => Math.round(seconds * 1_000 - Math.min(seconds * 250, 30_000));

const FINAL = new Set([
  "invalid_grant",
  "invalid_client",
  "unauthorized_client",
  "invalid_scope",
  "unsupported_grant_type",
]);

/** Error codes are visible ASCII (RFC 6749 §5.2); what else a server writes is not repeated. */
const codeOf = (value: unknown): string => (typeof value === "string" && /^[a-z_]{1,40}$/.test(value) ? value : "");
