import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { defaultPorts, originOf, webMethods, type RequestAction } from "../../policy/reach.ts";
import { parseAuthority, type Authority } from "./authority.ts";
import type { Said, SaidHead } from "./said.ts";

export type Field = readonly [name: string, value: string];

/** The head of a request as it came, over either version of HTTP. */
export interface RawHead {
  readonly method: string;
  readonly target: string;
  /** All `Host` fields, or `:authority` and all `host` fields. */
  readonly authorities: readonly string[];
  /** Names in lower case, in order, without pseudo-headers and `host`. */
  readonly fields: readonly Field[];
  /** The client wants to go on in WebSocket. */
  readonly upgrade: boolean;
  /** Of these authorities and fields, where another request on the connection has said the same before. */
  readonly said?: Said;
}

/** A head in its only reading. What goes upstream is built from this, never from the bytes that came. */
export interface WebHead {
  readonly action: RequestAction;
  readonly to: Authority;
  readonly query: string | undefined;
  /** End-to-end fields only. */
  readonly fields: readonly Field[];
  /** Of the body; null = not said. */
  readonly bytes: number | null;
  readonly upgrade: boolean;
  /** Where COPY and MOVE put what they take (RFC 4918 §10.3): decided on like the request itself. */
  readonly destination?: RequestAction;
  readonly said?: Said;
}

/** Where a request came in: at the door itself (absolute-form), or in a tunnel to a place. */
export type Entrance = { readonly scheme: "http" | "https"; readonly to: Authority } | null;

/** RFC 9110 §7.6.1, and what the gateway says anew. */
const HOP_BY_HOP = new Set([
  ...["connection", "keep-alive", "proxy-connection", "proxy-authorization", "proxy-authenticate", "te", "trailer"],
  ...["transfer-encoding", "upgrade", "host", "content-length", "expect", "http2-settings"],
]);
/** By which some servers take another method, path or host than the one that was decided on. */
const OVERRIDES = new Set([
  ...["x-http-method-override", "x-http-method", "x-method-override", "x-original-url", "x-rewrite-url"],
  ...["x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-server", "x-host", "forwarded"],
  ...["x-original-uri", "x-original-host", "x-forwarded-uri", "x-forwarded-prefix", "x-http-host-override"],
  // By which stores of objects fetch from another place with the rights of who asks.
  ...["x-amz-copy-source", "x-ms-copy-source", "x-goog-copy-source"],
]);
/** Read by some servers from the first, by others from the last. */
const SINGLE = new Set([
  "authorization",
  "content-type",
  "content-encoding",
  "range",
  "content-length",
  "host",
  "destination",
]);

const METHODS: ReadonlySet<string> = new Set(webMethods);

export function readHead(raw: RawHead, entrance: Entrance): Result<WebHead, Refusal> {
  const before = raw.said?.request;
  if (before?.raw === raw && before.entrance === entrance) return ok(before.head);
  const read = readAnew(raw, entrance);
  if (read.ok && raw.said) raw.said.request = { raw, entrance, head: read.value };
  return read;
}

function readAnew(raw: RawHead, entrance: Entrance): Result<WebHead, Refusal> {
  if (!METHODS.has(raw.method))
    return refuse(
      "method_not_allowed",
      `\`${raw.method.slice(0, 16)}\` is not passed on`,
      "use a method that changes nothing at the gateway",
    );
  const target = readTarget(raw.target, entrance);
  if (!target.ok) return target;
  const { scheme, to, path, query } = target.value;
  const known = raw.said?.head?.to === to ? raw.said.head : undefined;
  const said = known ? ok(known) : readSaid(raw, target.value);
  if (!said.ok) return said;
  if (raw.said) raw.said.head = said.value;
  const { fields, bytes, carries } = said.value;
  if (raw.upgrade && (raw.method !== "GET" || carries))
    return refuse("malformed", "WebSocket begins with a GET that has no body", "send such a one");
  const { host, port } = to;
  const action: RequestAction = { verb: "web.request", scheme, host, port, method: raw.method, path };
  const second = said.value.destination;
  const destination = second === undefined ? undefined : readDestination(second, action);
  if (destination && !destination.ok) return destination;
  return ok({
    action,
    ...(destination && { destination: destination.value }),
    ...{ to, query, fields, upgrade: raw.upgrade, bytes },
    ...(raw.said && { said: raw.said }),
  });
}

/** The host, which is that of the target, and the fields. */
function readSaid(raw: RawHead, { scheme, to }: Target): Result<SaidHead, Refusal> {
  const [said, ...more] = raw.authorities;
  if (said === undefined || more.length > 0)
    return refuse("malformed", "a request names its host exactly once", "send one `Host`");
  const stated = parseAuthority(said, defaultPorts[scheme]);
  if (!stated.ok)
    return refuse("malformed", `\`Host\` is not understood: ${stated.error}`, "write `HOST` or `HOST:PORT`");
  if (stated.value.host !== to.host || stated.value.port !== to.port)
    return refuse(
      "denied",
      "`Host` names another place than the connection",
      "ask each host on a connection of its own",
    );
  const fields = readFields(raw.fields);
  if (!fields.ok) return fields;
  const bytes = raw.fields.find(([name]) => name === "content-length")?.[1];
  if (bytes !== undefined && !/^(?:0|[1-9][0-9]{0,14})$/.test(bytes))
    return refuse("malformed", "the length of the body is not a number", "send a decimal number");
  return ok({
    ...{ to, fields: fields.value, bytes: bytes === undefined ? null : Number(bytes) },
    carries: (bytes !== undefined && bytes !== "0") || raw.fields.some(([name]) => name === "transfer-encoding"),
    destination: fields.value.find(([name]) => name === "destination")?.[1],
  });
}

interface Target {
  readonly scheme: "http" | "https";
  readonly to: Authority;
  readonly path: string;
  readonly query: string | undefined;
}

function readTarget(target: string, entrance: Entrance): Result<Target, Refusal> {
  if (target.length > limits.web.targetBytesMax)
    return refuse("too_large", `the target is longer than ${limits.web.targetBytesMax} bytes`, "send less");
  // RFC 3986: what else stands in a target is read in two ways by somebody.
  if (!/^[A-Za-z0-9\-._~:/?[\]@!$&'()*+,;=%|]*$/.test(target) || /%(?![0-9A-Fa-f]{2})/.test(target))
    return refuse("malformed", "the target holds characters that must be escaped", "percent-encode them");
  let place: Pick<Target, "scheme" | "to">;
  let rest = target;
  if (entrance === null) {
    if (!target.startsWith("http://"))
      return refuse("unsupported", "only `http` is asked for by its whole address", "use CONNECT for `https`");
    const after = target.slice("http://".length);
    const end = after.search(/[/?]/);
    const tail = end < 0 ? "" : after.slice(end);
    const to = parseAuthority(end < 0 ? after : after.slice(0, end), defaultPorts.http);
    if (!to.ok) return refuse("malformed", `the host is not understood: ${to.error}`, "write `HOST` or `HOST:PORT`");
    place = { scheme: "http", to: to.value };
    rest = tail.startsWith("/") ? tail : `/${tail}`;
  } else place = entrance;
  if (!rest.startsWith("/")) return refuse("malformed", "the target is not a path", "begin it with `/`");
  const mark = rest.indexOf("?");
  const path = mark < 0 ? rest : rest.slice(0, mark);
  if (!isStraight(path))
    return refuse("malformed", "the path holds dot segments or a NUL", "write the path that is meant");
  return ok({ ...place, path, query: mark < 0 ? undefined : rest.slice(mark + 1) });
}

/** `path` begins with a slash. */
const isStraight = (path: string): boolean => !/%00|\/(?:\.|%2e){1,2}(?:\/|$)/i.test(path);

/** A path on the same server, or its whole address: nothing that could be read as another server. */
function readDestination(value: string, action: RequestAction): Result<RequestAction, Refusal> {
  const origin = originOf(action);
  const path = value.startsWith(`${origin}/`) ? value.slice(origin.length) : value;
  const plain = /^\/(?!\/)[A-Za-z0-9\-._~:/@!$&'()*+,;=%|]*$/.test(path) && !/%(?![0-9A-Fa-f]{2})/.test(path);
  return plain && isStraight(path)
    ? ok({ ...action, path })
    : refuse(
        "denied",
        "`Destination` is not a plain path of this server",
        `write ${origin} and the path that is meant`,
      );
}

function readFields(fields: readonly Field[]): Result<readonly Field[], Refusal> {
  if (fields.length > limits.web.headerCountMax)
    return refuse("too_large", `more than ${limits.web.headerCountMax} header fields`, "send fewer");
  const nominated = new Set(
    fields.flatMap(([name, value]) => (name === "connection" ? value.toLowerCase().split(/[\t ,]+/) : [])),
  );
  const seen = new Set<string>();
  const kept: Field[] = [];
  for (const [name, value] of fields) {
    if (!/^[a-z0-9!#$%&'*+.^_`|~-]+$/.test(name) || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value))
      return refuse(
        "malformed",
        "a header field holds characters that no field may hold",
        "send fields of visible characters",
      );
    // Behind a gateway of the CGI kind `a_b` and `a-b` are one name.
    const plain = name.replaceAll("_", "-");
    if (OVERRIDES.has(plain) || (plain !== name && (HOP_BY_HOP.has(plain) || SINGLE.has(plain))))
      return refuse("denied", `\`${name}\` changes what was decided on`, "leave it out");
    if (SINGLE.has(name) && seen.has(name)) return refuse("malformed", `\`${name}\` is there twice`, "send it once");
    seen.add(name);
    if (!HOP_BY_HOP.has(name) && !nominated.has(name)) kept.push([name, value]);
  }
  return ok(kept);
}

const refuse = (code: Refusal["code"], reason: string, remedy: string): Result<never, Refusal> =>
  err(refusal(code, reason, remedy));
