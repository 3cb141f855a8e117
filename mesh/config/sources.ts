import { z } from "zod";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import type { AwsSecretsSetting } from "../egress/sources/aws-secrets.ts";
import type { HashicorpSetting } from "../egress/sources/hashicorp.ts";
import { refreshName, type Grant, type OAuthSetting } from "../egress/sources/oauth.ts";
import { Duration } from "./fields.ts";
import type { Path } from "./source.ts";
import { travelsInClear } from "./transport.ts";

/** Where the value of a credential comes from, when no person enters it. */
export type SourceSetting = { readonly name: string; readonly everyMs: number } & (
  | { readonly kind: "oauth"; readonly oauth: OAuthSetting }
  | { readonly kind: "hashicorp"; readonly hashicorp: HashicorpSetting }
  | { readonly kind: "aws"; readonly aws: AwsSecretsSetting }
  | { readonly kind: "environment"; readonly variable: string }
  | { readonly kind: "file"; readonly path: string }
);

const Url = z
  .string()
  .max(512)
  .refine(
    (text) => /^https?:$/.test(URL.parse(text)?.protocol ?? "") && !/[#@\s]/.test(text),
    "must be an http or https URL",
  );
const Text = z.string().regex(/^[\x21-\x7e]{1,256}$/, "must be visible ASCII");
const grants = ["authorization_code", "device_code", "client_credentials", "jwt_bearer", "token_exchange"] as const;
const every = z
  .unknown()
  .transform((value, context) => {
    const parsed = Duration.safeParse(value);
    if (!parsed.success) context.issues.push(...(parsed.error.issues as never[]));
    return parsed.success ? parsed.data : z.NEVER;
  })
  .pipe(
    z
      .number()
      .min(limits.source.everyMsMin, "must be 10s or more")
      .max(limits.source.everyMsMax, "must be 24h or less"),
  );

const SourceForm = z.strictObject({
  every: every.optional(),
  oauth: z
    .strictObject({
      grant: z.enum(grants),
      token_url: Url,
      authorize_url: Url.optional(),
      device_url: Url.optional(),
      revoke_url: Url.optional(),
      client_id: Text,
      client_secret: Name.optional(),
      scopes: z.array(Text).max(64).optional(),
      audience: Text.optional(),
      key: Name.optional(),
      subject: Text.optional(),
      subject_token: Name.optional(),
    })
    .optional(),
  hashicorp_vault: z
    .strictObject({
      address: Url,
      path: z
        .string()
        .regex(
          /^[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9_.-]*){0,31}$/,
          "must be a path such as `secret/data/app`",
        ),
      field: Text,
      token: Name,
      namespace: Text.optional(),
    })
    .optional(),
  aws_secrets_manager: z
    .strictObject({
      region: z.string().regex(/^[a-z0-9-]{1,32}$/, "such as `eu-central-1`"),
      secret_id: Text,
      field: Text.optional(),
      key: Name,
      endpoint: Url.optional(),
    })
    .optional(),
  environment: z
    .string()
    .regex(/^[A-Z][A-Z0-9_]{0,63}$/, "must be the name of a variable")
    .optional(),
  file: z.string().min(1).max(512).optional(),
});

export const SourcesForm = z
  .record(Name, SourceForm)
  .refine((sources) => Object.keys(sources).length <= limits.source.sourcesMax, "must name fewer sources");
type Form = z.infer<typeof SourceForm>;
type Faults = (at: Path, message: string, fix: string) => void;

const KINDS = ["oauth", "hashicorp_vault", "aws_secrets_manager", "environment", "file"] as const;

export function sourcesOf(
  forms: Readonly<Record<string, Form>>,
  folderOf: (path: string) => string,
  fault: Faults,
): readonly SourceSetting[] {
  return Object.entries(forms).flatMap(([name, form]): SourceSetting[] => {
    const at = ["sources", name];
    const [kind, ...more] = KINDS.filter((each) => form[each] !== undefined);
    if (kind === undefined || more.length > 0) {
      fault(at, "a credential has exactly one source", `state one of ${KINDS.join(", ")}`);
      return [];
    }
    const common = { name, everyMs: form.every ?? limits.source.everyMsDefault };
    return [{ ...common, ...settingOf(name, form, folderOf, fault) }];
  });
}

function settingOf(name: string, form: Form, folderOf: (path: string) => string, fault: Faults) {
  const at = ["sources", name];
  const url = (key: string, text: string | undefined): URL | null => {
    if (text === undefined) return null;
    if (travelsInClear(text)) fault([...at, key], "a secret would travel in clear text", "use https");
    return new URL(text);
  };
  if (form.oauth) return { kind: "oauth", oauth: oauthOf(name, form.oauth, url, fault) } as const;
  if (form.hashicorp_vault) {
    const { address, namespace = null, ...same } = form.hashicorp_vault;
    const hashicorp = { ...same, namespace, address: url("hashicorp_vault", address) ?? new URL(address) };
    return { kind: "hashicorp", hashicorp } as const;
  }
  if (form.aws_secrets_manager) {
    const { secret_id: secretId, field = null, endpoint, ...same } = form.aws_secrets_manager;
    return { kind: "aws", aws: { ...same, secretId, field, endpoint: url("aws_secrets_manager", endpoint) } } as const;
  }
  if (form.environment !== undefined) return { kind: "environment", variable: form.environment } as const;
  return { kind: "file", path: folderOf(form.file ?? "") } as const;
}

/** What each grant needs besides the token endpoint. */
const NEEDS: Readonly<Record<Grant, readonly (keyof NonNullable<Form["oauth"]>)[]>> = {
  authorization_code: ["authorize_url"],
  device_code: ["device_url"],
  client_credentials: ["client_secret"],
  jwt_bearer: ["key"],
  token_exchange: ["subject_token"],
};

function oauthOf(
  name: string,
  form: NonNullable<Form["oauth"]>,
  url: (key: string, text: string | undefined) => URL | null,
  fault: Faults,
): OAuthSetting {
  const at = ["sources", name, "oauth"];
  for (const need of NEEDS[form.grant])
    if (form[need] === undefined) fault(at, `\`${form.grant}\` needs \`${need}\``, "state it");
  if (refreshName(name).length > limits.name.charsMax)
    fault(
      ["sources", name],
      `the name \`${refreshName(name)}\` of its refresh token is too long`,
      "choose a shorter name",
    );
  return {
    grant: form.grant,
    tokenUrl: url("oauth", form.token_url) ?? new URL(form.token_url),
    authorizeUrl: url("oauth", form.authorize_url),
    deviceUrl: url("oauth", form.device_url),
    revokeUrl: url("oauth", form.revoke_url),
    clientId: form.client_id,
    clientSecret: form.client_secret ?? null,
    scopes: form.scopes ?? [],
    audience: form.audience ?? null,
    key: form.key ?? null,
    subject: form.subject ?? null,
    subjectToken: form.subject_token ?? null,
  };
}
