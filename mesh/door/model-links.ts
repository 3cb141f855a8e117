import type { Json } from "../../lib/json.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Soon } from "../../lib/soon.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Provider } from "../egress/providers.ts";
import { translationTo, type Translation } from "../egress/translate/translations.ts";
import { drawnTokensMax } from "../egress/wire/drawn-tokens.ts";
import type { ModelCall, WireFormat } from "../egress/wire/format.ts";
import { heardBound } from "../egress/wire/heard-tokens.ts";
import { imageTokensMax } from "../egress/wire/image-tokens.ts";
import { transcriptionsFormats } from "../egress/wire/openai-transcriptions.ts";
import type { Price } from "../ledger/price.ts";
import { askNow, decisionOf, recordRefusal } from "./ask.ts";
import { withinLimits, type ModelLimits } from "./model-limits.ts";
import type { Chain } from "./model-routing.ts";
import type { Caller, DoorServices } from "./services.ts";

/** One model that may answer a call, with all that the call can cost there. */
export interface Link {
  /** In the format of the provider; its `model` is `provider/model`. */
  readonly call: ModelCall;
  readonly provider: Provider;
  /** The provider's own name of it. */
  readonly model: string;
  readonly price: Price;
  readonly format: WireFormat;
  /** Where the provider speaks another format than the agent. */
  readonly translation?: Translation | undefined;
  /** What permits it. */
  readonly rule: string;
}

/** Who may answer a call, the wanted one first. */
export interface Links {
  readonly chain?: Chain | undefined;
  readonly links: readonly [Link, ...Link[]];
  /** Models of the chain that cannot be asked, each with its reason. */
  readonly skipped: readonly string[];
}

/** A call as the agent made it. */
export interface Asked {
  readonly body: Json;
  readonly call: ModelCall;
  readonly format: WireFormat;
}

/**
 * The model that is meant, or the models of a chain; each is decided and priced by itself. A refusal is on disk; what is
 * allowed waits for nothing.
 */
export function linksOf(services: DoorServices, caller: Caller, asked: Asked): Soon<Result<Links, Refusal>> {
  const chain = services.routing?.chains.get(asked.call.model);
  if (chain) return linksOfChain(services, caller, asked, chain);
  const model = meant(services, asked.call.model);
  const allowed = askNow(services, caller, { verb: "model.call", model });
  // What is denied is on disk before it is told.
  if (allowed instanceof Promise) return allowed.then((denied) => onlyLink(services, caller, asked, model, denied));
  return onlyLink(services, caller, asked, model, allowed);
}

function onlyLink(
  services: DoorServices,
  caller: Caller,
  asked: Asked,
  model: string,
  allowed: Result<{ readonly rule: string }, Refusal>,
): Soon<Result<Links, Refusal>> {
  if (!allowed.ok) return allowed;
  const tokens = withinLimits(caller.agent, services.modelLimits.get(caller.agent) ?? NO_LIMITS, asked.call);
  const link = tokens.ok ? linkTo(services, asked, model, tokens.value, allowed.value.rule) : tokens;
  return link.ok ? ok({ links: [link.value], skipped: NOBODY }) : refuse(services, caller, link.error, model);
}

const NO_LIMITS: ModelLimits = {};
const NOBODY: readonly string[] = [];

/** A name of the fleet's own becomes the model that it stands for, before anything is decided or priced. */
function meant(services: DoorServices, name: string): string {
  const model = services.aliases.get(name);
  return model ? `${model.provider}/${model.model}` : name;
}

async function linksOfChain(
  services: DoorServices,
  caller: Caller,
  asked: Asked,
  chain: Chain,
): Promise<Result<Links, Refusal>> {
  const halted = services.halted(caller.agent);
  if (halted) return refuse(services, caller, halted, asked.call.model);
  const tokens = withinLimits(caller.agent, services.modelLimits.get(caller.agent) ?? NO_LIMITS, asked.call);
  if (!tokens.ok) return refuse(services, caller, tokens.error, asked.call.model);
  const links: Link[] = [];
  const refusals: { readonly model: string; readonly refused: Refusal }[] = [];
  for (const each of chain.links) {
    const model = `${each.provider}/${each.model}`;
    const decision = decisionOf(services, caller, { verb: "model.call", model });
    const link = decision.allow
      ? linkTo(services, asked, model, tokens.value, decision.rule, true)
      : err(decision.refusal);
    if (link.ok) links.push(link.value);
    else refusals.push({ model, refused: link.error });
  }
  const skipped = refusals.map(({ model, refused }) => `${model}: ${refused.reason}`.slice(0, REASON_CHARS_MAX));
  const [first, ...more] = links;
  if (first) return ok({ chain, links: [first, ...more], skipped });
  const { code = "unsupported", remedy = "correct the chain" } = refusals[0]?.refused ?? {};
  const reason = `no model of the chain \`${chain.name}\` can take this call: ${skipped.join("; ")}`;
  return refuse(services, caller, refusal(code, reason, remedy), asked.call.model);
}

export const REASON_CHARS_MAX = 200;

/** No provider, no format, no price, no bound: no call. `outputTokens`: those that an answer may have. */
function linkTo(
  services: DoorServices,
  { body, call, format }: Asked,
  named: string,
  outputTokens: number | null,
  rule: string,
  translates = false,
): Result<Link, Refusal> {
  const { provider: name, model } = partsOf(named);
  const provider = services.providers.get(name);
  const speaks = provider?.apis.includes(format.api) ?? false;
  const translation = translates && provider && !speaks ? translationTo(provider, format) : undefined;
  if (!provider || (!speaks && !translation)) {
    return err(
      refusal(
        "unsupported",
        `provider \`${name}\` does not speak the ${format.api} format`,
        `call it on its own route`,
      ),
    );
  }
  const translated = translation ? saidIn(translation, body) : undefined;
  if (translated && !translated.ok) return translated;
  const said = translated ? translated.value : call;
  const price = services.prices.priceOf(provider.priceList ?? provider.name, model, outputTokens === 0);
  // One that is stated by time is none for anything but sound.
  if (!price || (price.byTime && !said.heard)) {
    return err(
      refusal(
        "unsupported",
        `no price is known for \`${named}\``,
        "use a model of the price list, or declare the provider with a `price`",
      ),
    );
  }
  const images = imageTokensMax(provider, model, said.images);
  if (!images.ok) return images;
  const drawn = said.drawn && drawnTokensMax(provider, model, price, said.drawn);
  if (drawn && !drawn.ok) return drawn;
  const heard = said.heard && heardBound(provider, model, price, said.heard);
  if (heard && !heard.ok) return heard;
  const ceiling = outputTokens ?? Infinity;
  if (heard && heard.value.outputTokens > ceiling)
    return err(
      refusal(
        "denied",
        `a transcript has up to ${heard.value.outputTokens} tokens, and an answer may have ${ceiling}`,
        "raise `model_limits.max_tokens`",
      ),
    );
  if (drawn && drawn.value > ceiling)
    return err(
      refusal(
        "denied",
        `such a picture has up to ${drawn.value} tokens, and an answer may have ${ceiling}`,
        "raise `model_limits.max_tokens`, or ask for a smaller one or a lower quality",
      ),
    );
  const bounded = { ...said, model: named, outputTokens };
  if (drawn) bounded.outputTokens = drawn.value;
  bounded.inputTokensMax += images.value;
  if (heard) {
    bounded.outputTokens = heard.value.outputTokens;
    bounded.inputTokensMax += heard.value.inputTokens;
    const { price: priceOfSound, report } = heard.value;
    return ok({ call: bounded, provider, model, price: priceOfSound, rule, format: transcriptionsFormats[report] });
  }
  return ok({ call: bounded, provider, model, price, rule, format: translation?.upstream ?? format, translation });
}

/** Models that were asked for: their names are the same texts each time, which costs less wherever they are looked up. */
const parts = new Map<string, { readonly provider: string; readonly model: string }>();
const PARTS_KEPT_MAX = 1_024;

function partsOf(model: string): { readonly provider: string; readonly model: string } {
  let known = parts.get(model);
  if (!known) {
    const slash = model.indexOf("/");
    known = { provider: model.slice(0, slash), model: model.slice(slash + 1) };
    if (parts.size >= PARTS_KEPT_MAX) parts.clear();
    parts.set(model, known);
  }
  return known;
}

/** The call in the provider's format, understood and bounded there as if an agent had made it. */
function saidIn(translation: Translation, body: Json): Result<ModelCall, Refusal> {
  const fix = "leave that out, or ask a model that speaks this format";
  const request = translation.request(body);
  if (!request.ok)
    return err(
      refusal("unsupported", `cannot be said in the ${translation.upstream.api} format: ${request.error}`, fix),
    );
  return translation.upstream.parse(request.value, Buffer.byteLength(JSON.stringify(request.value)));
}

/** Records a refused call before it is told. */
export async function refuse(
  services: DoorServices,
  caller: Caller,
  refused: Refusal,
  model: string,
): Promise<Result<never, Refusal>> {
  await recordRefusal(services, caller, { verb: "model.call", model: model.slice(0, 200) }, refused);
  return err(refused);
}
