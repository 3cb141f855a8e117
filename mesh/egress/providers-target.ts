import type { Dispatcher } from "undici";
import type { Clock } from "../../lib/clock.ts";
import type { Json } from "../../lib/json.ts";
import type { Injection } from "./credentials.ts";
import { fieldLine, flat } from "../http/fields.ts";
import type { Hosting, Provider } from "./providers.ts";
import { awsKeyOf, signAws } from "./signing.ts";
import { BedrockAnswer } from "./wire/bedrock-answer.ts";
import type { AgentHeaders, WireFormat } from "./wire/format.ts";
import { fieldsOf } from "./wire/json-fields.ts";

interface Call {
  readonly provider: Provider;
  readonly model: string;
  readonly format: WireFormat;
  readonly stream: boolean;
  readonly body: Buffer;
  readonly injection: Injection | null;
  readonly agentHeaders: AgentHeaders;
  readonly idempotencyKey?: string | undefined;
}

/** Where and how one call is sent. The credential is in `headers` from here on, or in a signature. */
export interface Target {
  readonly url: URL;
  /** Of `url`, with its query. */
  readonly path: string;
  /** Further field lines, as they are written. */
  readonly lines?: string;
  readonly headers: Record<string, string>;
  readonly body: Buffer;
  /** Reads an answer that is framed in another way than the format's own. */
  readonly answer: (relay: Dispatcher.DispatchHandler) => Dispatcher.DispatchHandler;
}

export function targetOf(call: Call, clock: Clock): Target {
  const { hosting } = call.provider;
  if (hosting?.kind === "bedrock") return bedrock(call, hosting, clock);
  if (hosting?.kind === "azure")
    return { ...azure(call, hosting), lines: linesOf(call.stream), body: call.body, answer: asItIs };
  const { provider, format, model, stream, injection } = call;
  const headers = headersOf(call);
  if (injection) {
    const [name, value] = format.authorization(injection.value);
    headers[name] = value;
  }
  const { url, path } = placeOf(provider, format, model, stream);
  return { url, path, lines: linesOf(stream), headers, body: call.body, answer: asItIs };
}

type Place = Pick<Target, "url" | "path">;

/** Where the last call of each format to a provider went: most others go there, and to read a place costs more than the rest. */
const places = new WeakMap<Provider, Map<WireFormat, KnownPlace>>();

interface KnownPlace extends Place {
  readonly text: string;
  readonly model: string;
  readonly stream: boolean;
}

function placeOf(provider: Provider, format: WireFormat, model: string, stream: boolean): Place {
  let own = places.get(provider);
  if (!own) places.set(provider, (own = new Map()));
  const last = own.get(format);
  if (last?.model === model && last.stream === stream) return last;
  const prefix = provider.prefixes?.[format.api] ?? "";
  const text = `${provider.baseUrl}${prefix}${format.path(encodeURIComponent(model), stream)}`;
  const { url, path } = last?.text === text ? last : placeAt(new URL(text));
  const place = { url, path, text, model, stream };
  own.set(format, place);
  return place;
}

const placeAt = (url: URL): Place => ({ url, path: `${url.pathname}${url.search}` });

const asItIs = (relay: Dispatcher.DispatchHandler): Dispatcher.DispatchHandler => relay;

/** What every call says alike. A compressed answer could hide a reflected secret from the scrubber. */
const LINES = fieldLine("accept-encoding", "identity") + fieldLine("user-agent", "cordon");
const PLAIN_LINES = flat(LINES + fieldLine("accept", "application/json"));
const STREAM_LINES = flat(LINES + fieldLine("accept", "text/event-stream"));
const linesOf = (stream: boolean): string => (stream ? STREAM_LINES : PLAIN_LINES);

function headersOf({ provider, format, agentHeaders, idempotencyKey }: Call): Record<string, string> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  const more = format.headers(agentHeaders);
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
