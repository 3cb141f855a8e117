import { hostMatches, pathMatches, type RequestAction } from "../../policy/reach.ts";

/** Where in a request a credential may stand. */
export type Surface =
  | { readonly kind: "header"; readonly name: string }
  | { readonly kind: "basic" }
  | { readonly kind: "query"; readonly name: string }
  | { readonly kind: "path" }
  /** Names from the outermost object inward. */
  | { readonly kind: "json"; readonly path: readonly string[] }
  | { readonly kind: "form"; readonly name: string }
  | { readonly kind: "websocket" }
  | { readonly kind: "aws"; readonly region: string; readonly service: string };

/** Says to which requests a credential belongs, and where in them it stands. */
export interface Binding {
  readonly credential: string;
  readonly scheme: "http" | "https";
  /** As in a rule of `reach`. */
  readonly host: string;
  readonly port: number;
  /** Null = any. */
  readonly methods: readonly string[] | null;
  readonly paths: readonly string[] | null;
  readonly surface: Surface;
  /** A request here without the placeholder is refused: nobody brings a key of his own. */
  readonly require: boolean;
}

export const isBoundTo = (binding: Binding, { host, port }: Pick<RequestAction, "host" | "port">): boolean =>
  binding.port === port && hostMatches(binding.host, host);

export const covers = (binding: Binding, action: RequestAction): boolean =>
  isBoundTo(binding, action) &&
  binding.scheme === action.scheme &&
  (binding.methods?.includes(action.method) ?? true) &&
  (binding.paths === null || pathMatches(binding.paths, action.path));

/** What an agent writes in the place of a credential. It is no secret. */
export const PLACEHOLDER = "cordon_ph_";
export const placeholderOf = (credential: string): string => `${PLACEHOLDER}${credential}`;
