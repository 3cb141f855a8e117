import type { Clock } from "../../../lib/clock.ts";
import { parseJson, type Json } from "../../../lib/json.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, type Refusal } from "../../../protocol/refusal.ts";
import { originOf } from "../../policy/reach.ts";
import { awsKeyOf, signAws } from "../signing.ts";
import { covers, placeholderOf, PLACEHOLDER, type Binding, type Surface } from "./binding.ts";
import type { Field, WebHead } from "./head.ts";
import { decodeBasic, spotsInHead, spotsInPairs, type Spot } from "./placeholders.ts";

/** What goes out: a head and, where it is held whole, a body. */
export interface Outgoing {
  /** Path and query. */
  readonly target: string;
  readonly fields: readonly Field[];
  readonly body: Buffer | null;
  /** Not in `fields` yet: of what the connection has said before only this field is written anew. */
  readonly put?: { readonly name: string; readonly placeholder: string; readonly secret: string };
}

/** What a request asks of the credentials of its agent, whatever is in its body. */
export interface Plan {
  /** Those that cover it. */
  readonly here: readonly Binding[];
  /** Its body is to be held whole. */
  readonly holds: boolean;
  /** As `choose` says of it without a body. */
  readonly chosen: Result<Binding | null, Refusal>;
}

export function planOf(bindings: readonly Binding[], head: WebHead): Plan {
  const here = bindings.filter((binding) => covers(binding, head.action));
  return { here, holds: needsBody(here, head), chosen: choose(here, head, null) };
}

/** Whether a body is to be held whole, because a credential may stand in it or it is signed. `here`: who cover it. */
const needsBody = (here: readonly Binding[], head: WebHead): boolean =>
  here.some(({ surface }) => {
    const type = typeOf(head.fields);
    if (surface.kind === "json") return /^application\/(?:[a-z0-9.+-]*\+)?json$/.test(type);
    if (surface.kind === "form") return type === "application/x-www-form-urlencoded";
    return surface.kind === "aws" && spotsInHead(head).some((spot) => spot.surface?.kind === "aws");
  });

const typeOf = (fields: readonly Field[]): string =>
  (fields.find(([name]) => name === "content-type")?.[1] ?? "").split(";")[0]?.trim().toLowerCase() ?? "";

/**
 * The one binding whose credential this request carries, null for none, or a refusal. `here` are those that cover it, of
 * the credentials that the agent may use; `body` is what was held of it.
 */
export function choose(here: readonly Binding[], head: WebHead, body: Buffer | null): Result<Binding | null, Refusal> {
  const spots = [...spotsInHead(head), ...(body ? spotsInBody(body, typeOf(head.fields), here) : [])];
  const [spot, ...more] = spots;
  const place = originOf(head.action);
  if (!spot) {
    // A connection that goes on in WebSocket brings it in its first message.
    const bound = here.find(({ require, surface }) => require && !(head.upgrade && surface.kind === "websocket"));
    if (!bound) return ok(null);
    return err(missing(bound, place));
  }
  const name = `\`${placeholderOf(spot.credential.slice(0, 40))}\``;
  if (more.length > 0) return refuse("a request carries one placeholder", "send one credential at a time");
  const { surface } = spot;
  if (surface === null) return refuse(`${name} stands where no credential may`, "put it in the place of its binding");
  const fitting = here.filter(
    (binding) => binding.credential === spot.credential && sameSurface(binding.surface, surface),
  );
  if (fitting.length === 0)
    return refuse(
      `${name} is not bound to the ${describe(surface)} of ${head.action.method} ${place}${head.action.path.slice(0, 100)}`,
      "bind it there under `bindings` and name it in `use`, or leave it out",
    );
  if (fitting.length > 1)
    return refuse(`two bindings of ${name} fit this request`, "make their `methods` or `paths` exclude each other");
  return ok(fitting[0] ?? null);
}

/** Clients that wait to be asked for a password (git does) are asked: they send the placeholder then. */
export const missing = ({ credential, surface }: Binding, place: string): Refusal =>
  refusal(
    surface.kind === "basic" ? "unauthenticated" : "denied",
    `requests to ${place} must carry the fleet's own credential`,
    surface.kind === "websocket"
      ? `put \`${placeholderOf(credential)}\` in the first message of a WebSocket`
      : `put \`${placeholderOf(credential)}\` in its ${describe(surface)}`,
  );

const refuse = (reason: string, remedy: string): Result<never, Refusal> => err(refusal("denied", reason, remedy));

const sameSurface = (a: Surface, b: Surface): boolean => a.kind === b.kind && detailOf(a) === detailOf(b);

function detailOf(surface: Surface): string {
  if (surface.kind === "aws") return `${surface.region}/${surface.service}`;
  if (surface.kind === "json") return surface.path.join(".");
  return "name" in surface ? surface.name : "";
}

function describe(surface: Surface): string {
  if (surface.kind === "header" || surface.kind === "query" || surface.kind === "form")
    return `${surface.kind} \`${surface.name}\``;
  if (surface.kind === "json") return `JSON field \`${surface.path.join(".")}\``;
  return surface.kind === "aws" ? `AWS signature for \`${surface.service}\` in \`${surface.region}\`` : surface.kind;
}

function spotsInBody(body: Buffer, type: string, bindings: readonly Binding[]): Spot[] {
  const text = body.toString("latin1");
  if (!text.includes(PLACEHOLDER)) return [];
  if (type === "application/x-www-form-urlencoded") return spotsInPairs(text, "form");
  const found = [...text.matchAll(/cordon_ph_([a-z0-9-]*)/g)].map((match): Spot => ({
    credential: match[1] ?? "",
    surface: null,
  }));
  const parsed = parseJson(body, limits.door.jsonDepthMax);
  const [only] = found;
  if (!parsed.ok || !only || found.length > 1) return found;
  const placeholder = placeholderOf(only.credential);
  // The text that is found need not be what stands in the field: that one may be written with escapes. Only what changes
  // the field is in it.
  const marked = parseJson(Buffer.from(text.replace(placeholder, MARK), "latin1"), limits.door.jsonDepthMax);
  const binding = bindings.find(
    ({ surface, credential }) =>
      surface.kind === "json" &&
      credential === only.credential &&
      at(parsed.value, surface.path) === placeholder &&
      marked.ok &&
      at(marked.value, surface.path) === MARK,
  );
  return binding ? [{ ...only, surface: binding.surface }] : found;
}

const MARK = "cordon_was_here";

function at(value: Json, path: readonly string[]): Json | undefined {
  let here: Json | undefined = value;
  for (const name of path) {
    if (typeof here !== "object" || here === null || Array.isArray(here) || !Object.hasOwn(here, name))
      return undefined;
    here = (here as { readonly [name: string]: Json })[name];
  }
  return here;
}

/** The request with the credential in the place of its placeholder. `secret` is visible ASCII (mesh/vault). */
export function inject(
  binding: Binding,
  head: WebHead,
  body: Buffer | null,
  secret: string,
  clock: Pick<Clock, "nowMs">,
): Result<Outgoing, Refusal> {
  const placeholder = placeholderOf(binding.credential);
  const { surface } = binding;
  const { path } = head.action;
  const plain = asItIs(head, body);
  const field = (name: string, change: (value: string) => string): Outgoing => ({
    ...plain,
    fields: head.fields.map(([key, value]) => (key === name ? [key, change(value)] : [key, value])),
  });
  switch (surface.kind) {
    case "header":
      if (head.said)
        return ok({
          target: plain.target,
          fields: plain.fields,
          body,
          put: { name: surface.name, placeholder, secret },
        });
      return ok(field(surface.name, (value) => value.replace(placeholder, () => secret)));
    case "basic":
      return ok(field("authorization", (value) => encodeBasic(value, placeholder, secret)));
    case "path":
      return ok({
        ...plain,
        target: targetOf(
          path.replace(placeholder, () => escaped(secret)),
          head.query,
        ),
      });
    case "query":
      return ok({ ...plain, target: targetOf(path, replacePair(head.query ?? "", placeholder, secret)) });
    case "form":
      return ok({
        ...plain,
        body: Buffer.from(replacePair(body?.toString("latin1") ?? "", placeholder, secret), "latin1"),
      });
    case "json":
      // Spliced in: what the agent wrote around it stays as it is, byte for byte.
      return ok({
        ...plain,
        body: Buffer.from(
          (body?.toString("latin1") ?? "").replace(placeholder, () => JSON.stringify(secret).slice(1, -1)),
          "latin1",
        ),
      });
    case "aws":
      return sign(surface, head, body, secret, clock.nowMs());
    case "websocket":
      return ok(plain);
  }
}

/** The request without a credential. */
export function asItIs(head: WebHead, body: Buffer | null): Outgoing {
  const known = head.said?.request;
  const target = known?.head === head ? known.target : undefined;
  const found = target ?? targetOf(head.action.path, head.query);
  if (known?.head === head) known.target = found;
  return { target: found, fields: head.fields, body };
}

const targetOf = (path: string, query: string | undefined): string => (query === undefined ? path : `${path}?${query}`);

/** All but unreserved characters, and the colon that tokens in paths hold. */
const escaped = (secret: string): string =>
  encodeURIComponent(secret)
    .replaceAll("%3A", ":")
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

const replacePair = (text: string, placeholder: string, secret: string): string =>
  text
    .split("&")
    .map((pair) =>
      pair.endsWith(`=${placeholder}`) ? `${pair.slice(0, -placeholder.length)}${encodeURIComponent(secret)}` : pair,
    )
    .join("&");

function encodeBasic(value: string, placeholder: string, secret: string): string {
  const { user, password } = decodeBasic(value) ?? { user: "", password: "" };
  const put = (part: string): string => (part === placeholder ? secret : part);
  return `Basic ${Buffer.from(`${put(user)}:${put(password)}`, "latin1").toString("base64")}`;
}

const MADE_BY_SIGNING = new Set(["authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"]);

/** Signed anew: what the agent signed with its placeholder is worth nothing. */
function sign(
  surface: Extract<Surface, { kind: "aws" }>,
  head: WebHead,
  body: Buffer | null,
  secret: string,
  atMs: number,
): Result<Outgoing, Refusal> {
  const key = awsKeyOf(secret);
  if (!key) return refuse("the credential is no AWS key", "store it as `ACCESS_KEY_ID:SECRET_ACCESS_KEY`");
  const fields = head.fields.filter(([name]) => !MADE_BY_SIGNING.has(name));
  const target = targetOf(head.action.path, head.query);
  const added = signAws(
    {
      method: head.action.method,
      url: new URL(`${originOf(head.action)}${target}`),
      headers: Object.fromEntries(fields.filter(([name]) => name === "content-type" || name.startsWith("x-amz-"))),
      body: body ?? Buffer.alloc(0),
      ...{ region: surface.region, service: surface.service, atMs },
    },
    key,
  );
  return ok({ target, fields: [...fields, ...Object.entries(added)], body });
}
