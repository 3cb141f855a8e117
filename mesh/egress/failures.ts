import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Provider } from "./providers.ts";

/** Errors of connecting: not a byte of the request was sent, so the provider cannot have charged for it. */
const NOT_SENT = new Set([
  ...["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "ENOENT", "UND_ERR_CONNECT_TIMEOUT"],
  ...[
    "CERT_HAS_EXPIRED",
    "DEPTH_ZERO_SELF_SIGNED_CERT",
    "SELF_SIGNED_CERT_IN_CHAIN",
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  ],
  ...["ERR_TLS_CERT_ALTNAME_INVALID", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"],
]);

const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? error.name;

export const wasNotSent = (error: Error): boolean => NOT_SENT.has(codeOf(error));

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
