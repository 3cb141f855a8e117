/** A family of wire formats that one kind of server speaks. */
export type Api = "openai" | "anthropic" | "gemini";

/** A cloud that serves another's format in a way of its own: paths, credential, framing. */
export type Hosting =
  | { readonly kind: "azure"; readonly apiVersion: string }
  | { readonly kind: "bedrock"; readonly region: string };

/** Where a model is served. An entry is data only: to add a server that speaks one of the formats, add a line. */
export interface Provider {
  readonly name: string;
  /** The formats it speaks; the first is the one that Cordon's own agents use. */
  readonly apis: readonly [Api, ...Api[]];
  /** Absolute, without a trailing slash; the format's own path is appended. */
  readonly baseUrl: string;
  /** What comes between the two for a format that the server keeps elsewhere. */
  readonly prefixes?: Partial<Record<Api, string>>;
  readonly hosting?: Hosting;
  /** Instead of TCP: a Unix socket of the mesh host (the rehearsal model). */
  readonly socketPath?: string;
  /** Name of the credential in the vault that is injected; null = none. */
  readonly credential: string | null;
  /** All of several that share the calls. */
  readonly credentials?: readonly string[];
  /** Makes a call with one `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07) once. */
  readonly honoursKeys?: true;
  /** Id under which the price list knows the provider; null = prices come from elsewhere. */
  readonly priceList: string | null;
}

const entry = (name: string, api: Api, baseUrl: string, priceList: string | null = name): Provider => ({
  name,
  apis: [api],
  baseUrl,
  credential: name,
  priceList,
});

/** The provider whose way of writing a body (`openai`) or whose bound of an image (`bedrock`) holds for a hosted model. */
export const familyOf = ({ name, hosting }: Provider): string =>
  hosting === undefined ? name : hosting.kind === "azure" ? "openai" : hosting.kind;

export const builtInProviders: Readonly<Record<string, Provider>> = {
  anthropic: entry("anthropic", "anthropic", "https://api.anthropic.com/v1"),
  openai: entry("openai", "openai", "https://api.openai.com/v1"),
  deepseek: entry("deepseek", "openai", "https://api.deepseek.com/v1"),
  // Its own format, and the OpenAI format for Cordon's own agents.
  google: {
    ...entry("google", "openai", "https://generativelanguage.googleapis.com/v1beta"),
    apis: ["openai", "gemini"],
    prefixes: { openai: "/openai" },
  },
  groq: entry("groq", "openai", "https://api.groq.com/openai/v1"),
  mistral: entry("mistral", "openai", "https://api.mistral.ai/v1"),
  openrouter: entry("openrouter", "openai", "https://openrouter.ai/api/v1"),
  together: entry("together", "openai", "https://api.together.xyz/v1"),
  xai: entry("xai", "openai", "https://api.x.ai/v1", "x-ai"),
  // Its socket and its key are made anew by each mesh.
  rehearsal: { ...entry("rehearsal", "openai", "http://rehearsal/v1", null), apis: ["openai", "anthropic", "gemini"] },
};
