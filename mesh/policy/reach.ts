import { globMatches } from "../../lib/glob.ts";

/** One line of an agent's `reach`. What no rule matches is denied. */
export interface ReachRule {
  /** As the fleet file says it. */
  readonly text: string;
  readonly scheme: "http" | "https";
  /** A host in lower case, an address, or `*.` and a name: the star stands for exactly one label. */
  readonly host: string;
  readonly port: number;
  /** Null = any. */
  readonly methods: readonly string[] | null;
  /** Globs over the path without its query; null = any. */
  readonly paths: readonly string[] | null;
  /** The very address to dial for this host, whatever a resolver says; null = a public one that it resolves to. */
  readonly address: string | null;
  readonly tls: "intercept" | "passthrough";
}

/** Where a tunnel leads. Nothing is known yet of what will be asked in it. */
export interface TunnelAction {
  readonly verb: "web.tunnel";
  readonly host: string;
  readonly port: number;
}

export interface RequestAction {
  readonly verb: "web.request";
  readonly scheme: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly method: string;
  /** Without its query. */
  readonly path: string;
}

/** Names compare whole and label by label; addresses and names never match each other's patterns. */
export function hostMatches(pattern: string, host: string): boolean {
  if (!pattern.startsWith("*.")) return pattern === host;
  const dot = host.indexOf(".");
  // A pattern's tail begins with a letter label, so an address never ends in it.
  return dot > 0 && host.slice(dot) === pattern.slice(1);
}

/** The rules for a place, of which none says yet that a request is allowed. */
export const rulesAt = (rules: readonly ReachRule[], host: string, port: number): readonly ReachRule[] =>
  rules.filter((rule) => rule.port === port && hostMatches(rule.host, host));

/** The first rule that allows the request. */
export function reachOf(rules: readonly ReachRule[], action: RequestAction): ReachRule | undefined {
  return rulesAt(rules, action.host, action.port).find(
    (rule) =>
      rule.scheme === action.scheme &&
      rule.tls === "intercept" &&
      (rule.methods?.includes(action.method) ?? true) &&
      (rule.paths === null || pathMatches(rule.paths, action.path)),
  );
}

/**
 * What servers read in different ways: an escaped separator, escape or NUL, and parameters behind a dot segment, whose
 * dots some decode after they have taken the parameters away.
 * Under a rule about paths such a path is never allowed.
 */
const AMBIGUOUS = /%(?:2f|5c|25|00)|\/(?:\.|%2e){1,2};/i;

export function pathMatches(patterns: readonly string[], path: string): boolean {
  if (AMBIGUOUS.test(path)) return false;
  const plain = withoutNeedlessEscapes(path);
  return patterns.some((pattern) => globMatches(pattern, plain));
}

/** RFC 3986 §6.2.2.2: an escaped unreserved character means the same as the character. */
const withoutNeedlessEscapes = (path: string): string =>
  path.replace(/%([0-9A-Fa-f]{2})/g, (escape, hex: string) => {
    const char = String.fromCharCode(Number.parseInt(hex, 16));
    return /[A-Za-z0-9._~-]/.test(char) ? char : escape.toUpperCase();
  });

/** The narrowest line that allows a request, as the fleet file takes it. */
export function narrowestLine(action: RequestAction): string {
  return `${action.method} ${originOf(action)}${action.path}`;
}

export function originOf({ scheme, host, port }: Pick<RequestAction, "scheme" | "host" | "port">): string {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === defaultPorts[scheme] ? `${scheme}://${name}` : `${scheme}://${name}:${port}`;
}

/** The methods that can be allowed. CONNECT is a tunnel, and TRACE sends back what was put in. */
export const webMethods = [
  ...(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] as const),
  ...(["PROPFIND", "PROPPATCH", "REPORT", "MKCOL", "COPY", "MOVE"] as const),
] as const;

export const defaultPorts = { http: 80, https: 443 } as const;
