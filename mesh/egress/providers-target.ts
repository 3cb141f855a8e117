import type { Dispatcher } from "undici";
import type { Clock } from "../../lib/clock.ts";
import type { Json } from "../../lib/json.ts";
import type { Injection } from "./credentials.ts";
import type { Hosting, Provider } from "./providers.ts";
import { awsKeyOf, signAws } from "./signing.ts";
import { BedrockAnswer } from "./wire/bedrock-answer.ts";
import type { WireFormat } from "./wire/format.ts";
import { fieldsOf } from "./wire/json-fields.ts";

interface Call {
  readonly provider: Provider;
  readonly model: string;
  readonly format: WireFormat;
  readonly stream: boolean;
  readonly body: Buffer;
  readonly injection: Injection | null;
  readonly agentHeader: (name: string) => string | undefined;
  readonly idempotencyKey?: string | undefined;
}

/** Where and how one call is sent. The credential is in `headers` from here on, or in a signature. */
export interface Target {
  readonly url: URL;
  /** Of `url`, with its query. */
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  /** Reads an answer that is framed in another way than the format's own. */
  readonly answer: (relay: Dispatcher.DispatchHandler) => Dispatcher.DispatchHandler;
}

export function targetOf(call: Call, clock: Clock): Target {
  const { hosting } = call.provider;
  if (hosting?.kind === "bedrock") return bedrock(call, hosting, clock);
  const target = { headers: headersOf(call), body: call.body, answer: asItIs };
  if (hosting?.kind === "azure") return { ...target, ...azure(call, hosting) };
  const { provider, format, model, stream, injection } = call;
  if (injection) {
    const [name, value] = format.authorization(injection.value);
    target.headers[name] = value;
  }
  const prefix = provider.prefixes?.[format.api] ?? "";
  const { url, path } = placeOf(`${provider.baseUrl}${prefix}${format.path(encodeURIComponent(model), stream)}`);
  return { url, path, headers: target.headers, body: target.body, answer: asItIs };
}

type Place = Pick<Target, "url" | "path">;

/** To read one costs more than the rest of a target; nobody changes them. */
const places = new Map<string, Place>();
const PLACES_KEPT_MAX = 256;

function placeOf(text: string): Place {
  const known = places.get(text);
  if (known) return known;
  if (places.size >= PLACES_KEPT_MAX) places.clear();
  const place = placeAt(new URL(text));
  places.set(text, place);
  return place;
}

const placeAt = (url: URL): Place => ({ url, path: `${url.pathname}${url.search}` });

const asItIs = (relay: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler => relay;

function headersOf({ provider, format, stream, agentHeader, idempotencyKey }: Call): Record<string, string> {
  const headers: Record<string, string> = {
    "content-type": "application/json",
    accept: stream ? "text/event-stream" : "application/json",
    // A compressed answer could hide a reflected secret from the scrubber.
    "accept-encoding": "identity",
    "user-agent": "cordon",
  };
  const more = format.headers(agentHeader);
  for (const name in more) headers[name] = more[name] ?? "";
  if (provider.honoursKeys === true && idempotencyKey !== undefined) headers["idempotency-key"] = idempotencyKey;
  return headers;
}

/** learn.microsoft.com/azure/ai-foundry/openai/reference: the model is the name of a deployment, in the path. */
function azure(call: Call, hosting: Extract<Hosting, { kind: "azure" }>): Place & Pick<Target, "headers"> {
  const { provider, format, model, stream, injection } = call;
  const path =
    format.name === "openai.responses"
      ? `/openai/v1${format.path(model, stream)}`
      : `/openai/deployments/${encodeURIComponent(model)}${format.path(model, stream)}?api-version=${hosting.apiVersion}`;
  const key = injection ? { "api-key": injection.value } : {};
  return { ...placeAt(new URL(`${provider.baseUrl}${path}`)), headers: { ...headersOf(call), ...key } };
}

/** docs.aws.amazon.com/bedrock/latest/APIReference, InvokeModel and InvokeModelWithResponseStream, for Anthropic's models. */
function bedrock(call: Call, hosting: Extract<Hosting, { kind: "bedrock" }>, clock: Clock): Target {
  const { provider, model, stream, injection } = call;
  const verb = stream ? "invoke-with-response-stream" : "invoke";
  const url = new URL(`${provider.baseUrl}/model/${encodeURIComponent(model)}/${verb}`);
  // The path says which model and whether it streams; the body must not.
  const { model: _model, stream: _stream, ...rest } = fieldsOf(JSON.parse(call.body.toString("utf8")) as Json);
  const body = Buffer.from(JSON.stringify({ anthropic_version: "bedrock-2023-05-31", ...rest }));
  const headers = { "content-type": "application/json", accept: stream ? "*/*" : "application/json" };
  const key = injection ? awsKeyOf(injection.value) : undefined;
  // A credential of another form signs nothing; the provider refuses the call, which says so.
  const signed = key
    ? signAws(
        { method: "POST", url, headers, body, region: hosting.region, service: "bedrock", atMs: clock.nowMs() },
        key,
      )
    : {};
  return {
    ...{ ...placeAt(url), body },
    headers: { ...headers, ...signed, "accept-encoding": "identity", "user-agent": "cordon" },
    answer: (relay) => new BedrockAnswer(relay),
  };
}
