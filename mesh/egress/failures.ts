import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { NotConnected } from "./http1/not-connected.ts";
import type { Provider } from "./providers.ts";

const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.name;

/** Not a byte of the request was sent, so the provider cannot have charged for it. */
export const wasNotSent = (error: Error): boolean => error instanceof NotConnected;

/** It was revoked while the call waited, so that it was not sent. */
export const wasRevoked = (error: Error): boolean => wasNotSent(error) && codeOf(error) === "CREDENTIAL_REVOKED";

export const noCredential = (name: string | null): Refusal =>
  refusal(
    "upstream_rejected",
    `the vault holds no credential \`${name}\``,
    `add it with \`cordon credential add ${name}\``,
  );

export function unreachableProvider(provider: Provider, error: Error): Refusal {
  const host = provider.socketPath ?? new URL(provider.baseUrl).host;
  return refusal(
    "upstream_failed",
    `provider \`${provider.name}\` did not answer (${codeOf(error)})`,
    `check that ${host} is up and can be reached from the mesh host`,
  );
}

/** What an agent is told of a provider's error. The provider's own words can hold parts of the key, so they stay out for 401 and 403. */
export function rejectedByProvider(provider: Provider, status: number): Refusal {
  if (status === 401 || status === 403) {
    return refusal(
      "upstream_rejected",
      `provider \`${provider.name}\` rejected the fleet's credential (${status})`,
      `replace it with \`cordon credential add ${provider.credential ?? provider.name}\``,
    );
  }
  return refusal(
    "upstream_failed",
    `provider \`${provider.name}\` answered ${status}`,
    "see the provider's status and the mesh's log",
  );
}
