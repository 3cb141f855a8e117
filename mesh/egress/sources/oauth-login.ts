import { createHash } from "node:crypto";
import type { Clock } from "../../../lib/clock.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import type { LoginStart } from "../../../protocol/credential.ts";
import type { CredentialKeeper } from "./keeper.ts";
import { fault, type MintFault } from "./source.ts";
import type { OAuthSource } from "./oauth.ts";

interface Pending {
  readonly name: string;
  readonly verifier: string;
  readonly redirectUri: string;
  readonly untilMs: number;
}

const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";
/** RFC 8628 §3.5: without an interval, and more after each `slow_down`. */
const [POLL_SECONDS, SLOWER_SECONDS] = [5, 5];
const POLL_SECONDS_MAX = 60;

/** Log-ins of people for credentials that OAuth keeps. What proves that it is the same person never leaves the mesh. */
export class OAuthLogins {
  readonly #keeper: CredentialKeeper;
  readonly #clock: Clock;
  readonly #random: (bytes: number) => Buffer;
  /** By `state`, which only the server and the browser of who began have seen. */
  readonly #pending = new Map<string, Pending>();

  constructor(keeper: CredentialKeeper, clock: Clock, random: (bytes: number) => Buffer) {
    this.#keeper = keeper;
    this.#clock = clock;
    this.#random = random;
  }

  /** `redirectUri`: a loopback address of the person's own machine (RFC 8252 §7.3); not needed for a device code. */
  start(
    name: string,
    source: OAuthSource,
    redirectUri: string | null,
    signal: AbortSignal,
  ): Promise<Result<LoginStart, MintFault>> {
    const { setting } = source;
    if (setting.grant === "device_code") return this.#device(name, source, signal);
    if (setting.grant !== "authorization_code" || setting.authorizeUrl === null)
      return Promise.resolve(err(fault(`\`${name}\` needs no log-in`, "it is fetched by itself", true)));
    if (redirectUri === null || !LOOPBACK.test(redirectUri))
      return Promise.resolve(
        err(fault("the redirect is no loopback address", "use http://127.0.0.1:PORT/callback", true)),
      );
    this.#forgetOld();
    if (this.#pending.size >= limits.source.loginsMax)
      return Promise.resolve(err(fault("too many log-ins are open", "finish one, or wait ten minutes")));
    const [state, verifier] = [this.#random(32).toString("hex"), this.#random(32).toString("base64url")];
    this.#pending.set(state, {
      name,
      verifier,
      redirectUri,
      untilMs: this.#clock.monotonicMs() + limits.source.loginMs,
    });
    const url = new URL(setting.authorizeUrl);
    const { clientId, scopes, audience } = setting;
    const query = {
      ...{ response_type: "code", client_id: clientId, redirect_uri: redirectUri, state },
      ...{ code_challenge: createHash("sha256").update(verifier).digest("base64url"), code_challenge_method: "S256" },
      ...(scopes.length > 0 && { scope: scopes.join(" ") }),
      ...(audience !== null && { audience }),
    };
    for (const [key, value] of Object.entries(query)) url.searchParams.set(key, value);
    return Promise.resolve(ok({ kind: "browser", url: url.href, state }));
  }

  /** The code that the browser brought back. Each `state` is good for one try. */
  async finish(
    state: string,
    code: string,
    sourceOf: (name: string) => OAuthSource | undefined,
    signal: AbortSignal,
  ): Promise<Result<null, MintFault>> {
    this.#forgetOld();
    const pending = this.#pending.get(state);
    this.#pending.delete(state);
    const source = pending && sourceOf(pending.name);
    if (!pending || !source)
      return err(fault("no such log-in is open", "begin anew with `cordon credential login`", true));
    const { verifier, redirectUri, name } = pending;
    const form = { grant_type: "authorization_code", code, redirect_uri: redirectUri, code_verifier: verifier };
    return this.#keeper.take(name, () => source.exchange(form, signal));
  }

  /** RFC 8628: the person enters a code on any device; the mesh asks until that is done. */
  async #device(name: string, source: OAuthSource, signal: AbortSignal): Promise<Result<LoginStart, MintFault>> {
    const { deviceUrl, clientId, scopes } = source.setting;
    if (deviceUrl === null) return err(fault(`\`${name}\` has no device_url`, "state it in the fleet file", true));
    const scope = scopes.length > 0 ? { scope: scopes.join(" ") } : {};
    const answer = await source.post(deviceUrl, { client_id: clientId, ...scope }, signal);
    if (!answer.ok) return answer;
    const { device_code: device, user_code: user, verification_uri: url, interval } = answer.value;
    if (typeof device !== "string" || typeof user !== "string" || typeof url !== "string" || !SHOWN.test(user + url))
      return err(fault(`${deviceUrl.origin} gave no device code`, "look at the settings of the client there"));
    const seconds = typeof interval === "number" && interval >= 1 ? Math.min(interval, POLL_SECONDS_MAX) : POLL_SECONDS;
    this.#poll(name, source, device, seconds, signal).catch(() => undefined);
    return ok({ kind: "device", url, code: user });
  }

  async #poll(name: string, source: OAuthSource, device: string, seconds: number, signal: AbortSignal): Promise<void> {
    const untilMs = this.#clock.monotonicMs() + limits.source.loginMs;
    const form = { grant_type: DEVICE_GRANT, device_code: device };
    while (!signal.aborted && this.#clock.monotonicMs() < untilMs) {
      await this.#clock.sleep(seconds * 1_000, signal);
      const taken = await this.#keeper.take(name, () => source.exchange(form, signal));
      if (taken.ok) return;
      if (taken.error.code === "slow_down") seconds = Math.min(seconds + SLOWER_SECONDS, POLL_SECONDS_MAX);
      else if (taken.error.code !== "authorization_pending" && taken.error.code !== "") return;
    }
  }

  #forgetOld(): void {
    for (const [state, { untilMs }] of this.#pending)
      if (untilMs <= this.#clock.monotonicMs()) this.#pending.delete(state);
  }
}

const LOOPBACK = /^http:\/\/127\.0\.0\.1:\d{1,5}\/[a-z]{0,32}$/;
/** What is printed for a person: visible ASCII. */
const SHOWN = /^[\x21-\x7e]{1,1024}$/;
