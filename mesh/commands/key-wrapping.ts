import { systemClock as clock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import type { Result } from "../../lib/result.ts";
import { readRegular } from "../config/read-file.ts";
import { travelsInClear } from "../config/transport.ts";
import { awsKmsWrapper, kmsRegionOf } from "../egress/sources/aws-kms.ts";
import { endpoint, type Endpoint } from "../egress/sources/endpoint.ts";
import type { KeyWrapper, WrapFault } from "../egress/sources/key-wrapper.ts";
import { transitWrapper } from "../egress/sources/transit.ts";
import type { MeshOptions } from "../main.ts";
import type { Protection } from "../vault/passphrase.ts";
import { areSame, WRAPPED_HEAD_BYTES_MAX, wrappedHead, type KeyPlace, type WrappedKey } from "../vault/wrapped-key.ts";
import { CommandError } from "./failure.ts";
import type { HeldToken } from "./key-opener.ts";

/** Whether the command line says that a server is to wrap the vault key. */
export const isByService = ({ transit, kms }: MeshOptions): boolean => transit !== undefined || kms !== undefined;

export const serviceOf = ({ kms }: MeshOptions): KeyPlace["service"] => (kms === undefined ? "transit" : "aws-kms");

/** A new key, wrapped by the server, and unwrapped again before anything depends on it. */
export async function serviceProtection(
  options: MeshOptions,
  newKey: Buffer,
  token: HeldToken,
): Promise<Protection & { readonly by: KeyPlace }> {
  if (options["vault-token-file"] === undefined)
    throw new CommandError("no token is given: add `--vault-token-file FILE`");
  const place = placeOf(options);
  const secret = new Secret(newKey);
  const given = token.read();
  const ciphertext = await exchange(place, given, (wrapper, signal) => wrapper.wrap(secret, signal));
  const wrapped: WrappedKey = { ...place, ciphertext };
  const back = await unwrapped(wrapped, given);
  const same = areSame(secret, back);
  back.erase();
  if (!same)
    throw new CommandError("the server unwraps another key than it was given: nothing was changed, look at its key");
  return { head: wrappedHead(wrapped), key: secret, by: place };
}

export async function unwrapped(wrapped: WrappedKey, token: Secret): Promise<Secret> {
  const fault = faultOf(wrapped);
  if (fault !== undefined) throw new CommandError(`the vault key is damaged, as ${fault}: restore it from a backup`);
  return exchange(wrapped, token, (wrapper, signal) => wrapper.unwrap(wrapped.ciphertext, signal));
}

/** What the command line names. */
function placeOf(options: MeshOptions): KeyPlace {
  const { transit, kms, "transit-ca": caPath } = options;
  if (transit !== undefined && kms !== undefined)
    throw new CommandError("`--transit` and `--kms` are two services: name one of them");
  const place: KeyPlace =
    kms === undefined
      ? {
          ...{ service: "transit", address: transit ?? "", mount: options["transit-mount"] ?? "transit" },
          ...{ key: options["transit-key"] ?? "cordon", namespace: options["transit-namespace"] ?? null },
          ca: caPath === undefined ? null : certificatesIn(caPath),
        }
      : { service: "aws-kms", key: kms, address: options["kms-endpoint"] ?? kmsRegionOf(kms)?.address ?? "" };
  const fault = faultOf(place);
  if (fault === undefined) return place;
  throw new CommandError(`${fault}: see \`cordon vault --help\``);
}

function certificatesIn(path: string): string {
  const read = readRegular(path, WRAPPED_HEAD_BYTES_MAX / 2);
  if (read.ok) return read.value.toString();
  throw new CommandError(`\`--transit-ca ${path}\` cannot be used (${read.error}): name a file of certificates in PEM`);
}

/** Parts of a path, none of which leads elsewhere. */
const NAME = /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}(?:\/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}){0,7}$/;

/** Also of a file: nothing is sent to a place that the command line could not have named. */
function faultOf(place: KeyPlace): string | undefined {
  const { service, address, key } = place;
  if (service === "aws-kms" && kmsRegionOf(key) === undefined)
    return `\`${key.slice(0, 64)}\` is no ARN of a key or alias (arn:aws:kms:REGION:ACCOUNT:key/ID)`;
  if (!/^https?:\/\/[^\s?#@]{1,500}$/.test(address) || URL.parse(address) === null || travelsInClear(address))
    return `\`${address.slice(0, 64)}\` is no https address, and in clear text nothing is asked`;
  if (service === "aws-kms") return undefined;
  const names = [place.mount, key, ...(place.namespace === null ? [] : [place.namespace])];
  const wrong = names.find((name) => !NAME.test(name));
  return wrong === undefined ? undefined : `\`${wrong.slice(0, 64)}\` is no name of a mount, key or namespace`;
}

type Exchange<T> = (wrapper: KeyWrapper, signal: AbortSignal) => Promise<Result<T, WrapFault>>;

async function exchange<T>(place: KeyPlace, token: Secret, act: Exchange<T>): Promise<T> {
  const ask = endpoint(place.service === "transit" ? place.ca : null);
  try {
    const done = await act(wrapperOf(place, token, ask), new AbortController().signal);
    if (done.ok) return done.value;
    throw new CommandError(`the vault key does not open: ${done.error.reason}: ${done.error.fix}`);
  } finally {
    await ask.close();
  }
}

function wrapperOf(place: KeyPlace, token: Secret, ask: Endpoint): KeyWrapper {
  return place.service === "transit"
    ? transitWrapper({ ...place, token }, ask)
    : awsKmsWrapper({ ...place, token }, ask, clock.nowMs);
}
