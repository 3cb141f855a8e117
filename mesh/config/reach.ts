import { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { canonicalIPv6, readHost } from "../egress/web/authority.ts";
import { isAddress, notPublic } from "../egress/web/address.ts";
import { isBoundTo, type Binding, type Surface } from "../egress/web/binding.ts";
import { defaultPorts, hostMatches, rulesAt, webMethods, type ReachRule } from "../policy/reach.ts";

/** The forms of `web`, `bindings` and `may.reach`, and their meaning. */

const Method = z.enum(webMethods);
const Methods = z.array(Method).min(1).max(limits.web.methodsPerRuleMax);
const PathGlob = z
  .string()
  .max(limits.web.pathPatternCharsMax)
  .regex(
    /^\/[\x21-\x22\x24-\x3e\x40-\x5b\x5d-\x7e]*$/,
    "must be a path from `/` on, in which segments may hold `*`, or be `**`",
  );
const Paths = z.array(PathGlob).min(1).max(limits.web.pathsPerRuleMax);
const Text = z.string().min(1).max(limits.web.ruleCharsMax);
const Address = z.string().refine((text) => isAddress(text), "must be an IP address");

const Rule = z.strictObject({
  to: Text,
  methods: Methods.optional(),
  paths: Paths.optional(),
  address: Address.optional(),
  tls: z.enum(["intercept", "passthrough"]).optional(),
});

export const ReachForm = z.array(z.union([Text, Rule])).max(limits.web.rulesPerAgentMax);

const FieldName = z.string().regex(/^[A-Za-z0-9_.~-]{1,64}$/, "must be the name of a field");
const SurfaceForm = z.union([
  z.enum(["basic", "path", "websocket"]),
  z.strictObject({ header: z.string().regex(/^[a-z][a-z0-9-]{0,63}$/, "must be a header in lower case") }),
  z.strictObject({ query: FieldName }),
  z.strictObject({ form: FieldName }),
  z.strictObject({
    json: z.string().regex(/^[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64}){0,7}$/, "must be names with dots between"),
  }),
  z.strictObject({
    aws: z.strictObject({
      region: z.string().regex(/^[a-z0-9-]{1,32}$/, "such as `eu-central-1`"),
      service: z.string().regex(/^[a-z0-9-]{1,32}$/, "such as `sqs`"),
    }),
  }),
]);

const BindingForm = z.strictObject({
  to: Text,
  methods: Methods.optional(),
  paths: Paths.optional(),
  in: SurfaceForm,
  require: z.boolean().optional(),
});

export const BindingsForm = z.record(Name, z.array(BindingForm).min(1).max(limits.web.bindingsPerCredentialMax));
/** Certificates in PEM that are trusted upstream besides the well-known ones. */
export const WebForm = z.strictObject({ ca: z.string().min(1).max(512).optional() });

export interface Misreading {
  readonly message: string;
  readonly fix: string;
}

const LINE = /^(?:([A-Z]+(?:,[A-Z]+)*) )?(https?):\/\/([^/]+)(\/.*)?$/;
const EXAMPLE = "write `https://HOST`, `https://*.example.org:8443` or `GET https://HOST/path/**`";

/** `[METHODS ]SCHEME://HOST[:PORT][/PATH]`, or the same in parts. */
function readRule(form: z.infer<typeof ReachForm>[number]): Result<ReachRule, Misreading> {
  const parts = typeof form === "string" ? { to: form } : form;
  const place = readPlace(parts.to);
  if (!place.ok) return place;
  const { scheme, host, port, methods, path } = place.value;
  if ((methods && parts.methods) || (path !== undefined && parts.paths))
    return err({ message: `\`${parts.to}\` says methods or paths twice`, fix: "say them in one place" });
  const tls = parts.tls ?? "intercept";
  if (tls === "passthrough" && (scheme === "http" || methods || parts.methods || path !== undefined || parts.paths))
    return err({
      message: "nobody sees methods and paths in a tunnel that is passed through",
      fix: "write `https://HOST` alone, or leave out `tls: passthrough`",
    });
  const literal = isAddress(host) ? host : null;
  return ok({
    text: textOf(parts),
    ...{ scheme, host, port, tls },
    methods: methods ?? parts.methods ?? null,
    paths: path === undefined ? (parts.paths ?? null) : [path],
    address: parts.address === undefined ? literal : canonical(parts.address),
  });
}

/** One line of `may.reach`, as a step of a workflow names it. */
export const readReachLine = (line: string): Result<ReachRule, Misreading> => readRule(line);

function textOf({
  to,
  methods,
  paths,
}: {
  to: string;
  methods?: readonly string[] | undefined;
  paths?: readonly string[] | undefined;
}): string {
  return [to, methods?.join(","), paths?.join(" ")]
    .filter((part) => part !== undefined)
    .join(" ")
    .slice(0, limits.web.ruleCharsMax);
}

const canonical = (address: string): string => (address.includes(":") ? canonicalIPv6(address) : address);

interface Place {
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly methods: readonly string[] | undefined;
  readonly path: string | undefined;
}

function readPlace(text: string): Result<Place, Misreading> {
  const [, verbs, scheme, authority = "", path] = LINE.exec(text) ?? [];
  if (scheme !== "http" && scheme !== "https") return err({ message: `\`${text}\` is not a place`, fix: EXAMPLE });
  const methods = verbs?.split(",");
  const unknown = methods?.find((method) => !Method.safeParse(method).success);
  if (unknown !== undefined)
    return err({ message: `\`${unknown}\` is not a method that can be allowed`, fix: EXAMPLE });
  if (path !== undefined && !PathGlob.safeParse(path).success)
    return err({ message: `\`${path}\` is not a pattern of paths`, fix: EXAMPLE });
  const colon = authority.startsWith("[") ? authority.indexOf("]:") + 1 : authority.indexOf(":");
  const port = colon > 0 ? authority.slice(colon + 1) : String(defaultPorts[scheme]);
  if (!/^[1-9][0-9]{0,4}$/.test(port) || Number(port) > 65_535)
    return err({ message: `\`${port}\` is not a port`, fix: EXAMPLE });
  const name = colon > 0 ? authority.slice(0, colon) : authority;
  const star = name.startsWith("*.");
  const host = readHost(star ? name.slice(2) : name);
  if (!host.ok) return err({ message: `\`${name}\` is not a host: ${host.error}`, fix: EXAMPLE });
  if (star && (host.value.literal || !host.value.host.includes(".")))
    return err({ message: `\`${name}\` is too wide`, fix: "put `*.` before a name of at least two labels" });
  return ok({ scheme, host: `${star ? "*." : ""}${host.value.host}`, port: Number(port), methods, path });
}

function readBinding(credential: string, form: z.infer<typeof BindingForm>): Result<Binding, Misreading> {
  const rule = readRule({
    to: form.to,
    ...(form.methods && { methods: form.methods }),
    ...(form.paths && { paths: form.paths }),
  });
  if (!rule.ok) return rule;
  const { scheme, host, port, methods, paths } = rule.value;
  if (scheme === "http" && !notPublic(host)?.startsWith("loopback"))
    return err({ message: "the credential would travel in clear text", fix: "bind it to an `https` place" });
  return ok({
    credential,
    scheme,
    host,
    port,
    methods,
    paths,
    surface: surfaceOf(form.in),
    require: form.require ?? false,
  });
}

function surfaceOf(form: z.infer<typeof SurfaceForm>): Surface {
  if (typeof form === "string") return { kind: form };
  if ("header" in form) return { kind: "header", name: form.header };
  if ("query" in form) return { kind: "query", name: form.query };
  if ("form" in form) return { kind: "form", name: form.form };
  if ("json" in form) return { kind: "json", path: form.json.split(".") };
  return { kind: "aws", ...form.aws };
}

/** Why a binding cannot work for an agent with these rules. */
function unreachable(binding: Binding, rules: readonly ReachRule[]): Misreading | undefined {
  const origin = `${binding.scheme}://${binding.host}:${binding.port}`;
  const at = binding.host.startsWith("*.")
    ? rules.filter((rule) => rule.port === binding.port && rule.host === binding.host)
    : rulesAt(rules, binding.host, binding.port);
  const message = `\`${binding.credential}\` is bound to ${origin}, which`;
  if (at.length === 0)
    return {
      message: `${message} is out of reach`,
      fix: `add \`${origin}\` to \`reach\`, or remove \`${binding.credential}\` from \`use\``,
    };
  const opaque = rules.some(
    (rule) =>
      rule.tls === "passthrough" &&
      (isBoundTo(binding, rule) || hostMatches(rule.host, binding.host)) &&
      rule.port === binding.port,
  );
  if (opaque) return { message: `${message} is passed through unread`, fix: "remove `tls: passthrough` from its rule" };
  return undefined;
}

export type Tell = (at: readonly PropertyKey[], message: string, fix: string) => void;

export function readBindings(form: z.infer<typeof BindingsForm> | undefined, tell: Tell): Binding[] {
  return Object.entries(form ?? {}).flatMap(([name, entries]) =>
    entries.flatMap((entry, index) => {
      const read = readBinding(name, entry);
      if (read.ok) return [read.value];
      tell(["bindings", name, index], read.error.message, read.error.fix);
      return [];
    }),
  );
}

/** What `may` says of the web; every bound host must be in reach of who uses the credential. */
export function readPermissions(
  at: readonly PropertyKey[],
  may:
    | { readonly reach?: z.infer<typeof ReachForm> | undefined; readonly use?: readonly string[] | undefined }
    | undefined,
  bindings: readonly Binding[],
  tell: Tell,
): { readonly reach?: readonly ReachRule[]; readonly use?: readonly string[] } {
  const reach = may?.reach?.flatMap((form, index) => {
    const read = readRule(form);
    if (read.ok) return [read.value];
    tell([...at, "reach", index], read.error.message, read.error.fix);
    return [];
  });
  may?.use?.forEach((name, index) => {
    const own = bindings.filter(({ credential }) => credential === name);
    if (own.length === 0)
      tell([...at, "use", index], `\`${name}\` has no binding`, "say under `bindings` where it belongs");
    const faults = own.flatMap((binding) => unreachable(binding, reach ?? []) ?? []);
    if (faults[0]) tell([...at, "use", index], faults[0].message, faults[0].fix);
  });
  return { ...(reach && { reach }), ...(may?.use && { use: may.use }) };
}
