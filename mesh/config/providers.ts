import { builtInProviders } from "../egress/providers.ts";
import type { ProviderSetting } from "./fleet.ts";
import type { ProviderForm } from "./schema.ts";
import type { Path } from "./source.ts";
import { travelsInClear } from "./transport.ts";

type Faults = (at: Path, message: string, fix: string) => void;
type Names = readonly [string, ...string[]];

interface Providers {
  readonly own: readonly ProviderSetting[];
  readonly builtIn: ReadonlyMap<string, Names>;
}

/** The providers of one's own, and of the built-in ones the credentials that take the place of their usual one. */
export function providersOf(forms: Readonly<Record<string, ProviderForm>>, fault: Faults): Providers {
  const own: ProviderSetting[] = [];
  const builtIn = new Map<string, Names>();
  for (const [name, form] of Object.entries(forms)) {
    const credentials = namesOf(name, form, fault);
    if (!Object.hasOwn(builtInProviders, name)) own.push(ownProvider(name, form, credentials, fault));
    else if (!credentials || Object.keys(form).some((key) => key !== "credential"))
      fault(
        ["providers", name],
        `\`${name}\` is a built-in provider`,
        "choose another name, or state its `credential` only",
      );
    else builtIn.set(name, credentials);
  }
  return { own, builtIn };
}

function ownProvider(name: string, form: ProviderForm, credentials: Names | null, fault: Faults): ProviderSetting {
  const at = ["providers", name];
  const { api = "openai", base_url: url = "", price } = form;
  for (const key of ["api", "base_url", "price"] as const)
    if (form[key] === undefined) fault(at, `\`providers.${name}.${key}\` is missing or empty`, "state it");
  if (credentials && URL.canParse(url) && travelsInClear(url))
    fault([...at, "base_url"], "the credential would travel in clear text", "use https, or leave out `credential`");
  return {
    ...{ name, api, baseUrl: url.endsWith("/") ? url.slice(0, -1) : url },
    ...hostingOf(name, form, fault),
    credential: credentials?.[0] ?? null,
    ...(credentials && credentials.length > 1 && { credentials }),
    ...(form.idempotency_key && { honoursKeys: form.idempotency_key }),
    price: price ?? { input: 0, output: 0 },
  };
}

function namesOf(name: string, { credential }: ProviderForm, fault: Faults): Names | null {
  if (credential === undefined) return null;
  const [first, ...more] = typeof credential === "string" ? [credential] : credential;
  if (first === undefined) return null;
  if (new Set([first, ...more]).size <= more.length)
    fault(["providers", name, "credential"], "a credential is named twice", "name it once");
  return [first, ...more];
}

/** A cloud serves one format only, and under no other framing. */
function hostingOf(
  name: string,
  { api = "openai", azure, bedrock }: ProviderForm,
  fault: Faults,
): Pick<ProviderSetting, "hosting"> {
  const wanted = azure ? "openai" : bedrock ? "anthropic" : api;
  if (api !== wanted || (azure && bedrock))
    fault(
      ["providers", name, "api"],
      `${azure ? "azure" : "bedrock"} does not serve \`${api}\` under this name`,
      "use `api: openai` with `azure`, `api: anthropic` with `bedrock`, one of them a provider",
    );
  if (azure) return { hosting: { kind: "azure", apiVersion: azure.api_version } };
  return bedrock ? { hosting: { kind: "bedrock", region: bedrock.region } } : {};
}
