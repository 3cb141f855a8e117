import type { Balance } from "../egress/balance.ts";
import type { Circuits } from "../egress/health.ts";
import type { Provider } from "../egress/providers.ts";
import { isHeldWhole } from "../egress/wire/format.ts";
import type { BudgetRefusal } from "../ledger/ledger.ts";
import { worstCase } from "../ledger/price.ts";
import { OUTPUT_TOKENS_MIN } from "./model-attempt.ts";
import type { Link } from "./model-links.ts";

/** Models that stand in for one another, the wanted one first. */
export interface Chain {
  readonly name: string;
  readonly links: readonly { readonly provider: string; readonly model: string }[];
  /** For the beginning of each answer, milliseconds. */
  readonly firstByteMs: number;
  /** For all attempts together, milliseconds. */
  readonly deadlineMs: number;
}

/** Which ways a call can take. */
export interface Routing {
  readonly chains: ReadonlyMap<string, Chain>;
  readonly circuits: Circuits;
  readonly balance: Balance;
}

/** A link by one of its provider's credentials. */
export interface Way {
  readonly link: Link;
  /** Its `credential` is the one of this way. */
  readonly provider: Provider;
}

export const routeOf = ({ link, provider }: Way) => ({
  provider: provider.name,
  model: link.model,
  credential: provider.credential,
});

/**
 * All ways in the order in which they are tried: link by link, the credentials of each in turn. Those whose circuit is
 * open come last. They are tried only where no other way could be: a circuit that one agent's calls have opened must
 * not shut the others out, so a call that has one way takes it.
 */
export function waysOf(links: readonly Link[], routing: Routing | undefined): readonly Way[] {
  const [only] = links;
  if (only && links.length === 1 && !only.provider.credentials) return [{ link: only, provider: only.provider }];
  const ways = links.flatMap((link): Way[] => {
    const { provider, model } = link;
    const names = provider.credentials;
    if (!names || !routing) return [{ link, provider }];
    const failuresOf = (credential: string): number =>
      routing.circuits.failuresOf({ provider: provider.name, model, credential });
    return routing.balance
      .order(`${provider.name}/${model}`, names, failuresOf)
      .map((credential) => ({ link, provider: { ...provider, credential } }));
  });
  if (!routing || ways.length === 1) return ways;
  const shut = ways.filter((way) => isShut(way, routing));
  return [...ways.filter((way) => !shut.includes(way)), ...shut];
}

export const isShut = (way: Way, routing: Routing | undefined): boolean =>
  routing?.circuits.failuresOf(routeOf(way)) === Infinity;

/**
 * After a refusal of the budget only a way that costs less of what has run out can fit: a cheaper model, a shorter
 * prompt in another format, or, where the cap is on a destination, another provider. Anything else ends the call.
 */
export function mayFit({ scope, unit }: BudgetRefusal, refused: Way, way: Way): boolean {
  if (scope.includes(">")) return way.provider.name !== refused.provider.name;
  const least = ({ link: { price, call } }: Way) =>
    worstCase(
      price,
      call.inputTokensMax,
      isHeldWhole(call) ? (call.outputTokens ?? 0) : OUTPUT_TOKENS_MIN,
      call.choices,
    );
  if (unit === "usd") return least(way).microUsd < least(refused).microUsd;
  return unit === "tokens" && least(way).tokens < least(refused).tokens;
}
