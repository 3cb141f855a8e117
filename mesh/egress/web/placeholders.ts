import { PLACEHOLDER } from "./binding.ts";
import type { Surface } from "./binding.ts";
import type { WebHead } from "./head.ts";

/** One placeholder in a request. `surface` null: it stands where no credential may. */
export interface Spot {
  readonly credential: string;
  readonly surface: Surface | null;
}

/** A name of a credential behind the prefix (protocol/names.ts); what is there beyond it makes it a stray. */
const NAMED = /cordon_ph_([a-z0-9-]*)/g;
const WHOLE = /^cordon_ph_([a-z][a-z0-9]*(?:-[a-z0-9]+)*)$/;

const wholeOf = (text: string): string | undefined => WHOLE.exec(text)?.[1];
const straysIn = (text: string): Spot[] =>
  [...text.matchAll(NAMED)].map((match) => ({ credential: match[1] ?? "", surface: null }));

/** Every placeholder in the head of a request. */
export function spotsInHead({ action, query, fields, said }: SpottedHead): readonly Spot[] {
  const inFields = said?.spots ?? fields.flatMap(([name, value]) => spotsInField(name, value));
  if (said) said.spots = inFields;
  const inTarget = action.path.includes(PLACEHOLDER) || (query?.includes(PLACEHOLDER) ?? false);
  if (!inTarget) return inFields;
  const path = straysIn(action.path).map((spot) => ({ ...spot, surface: { kind: "path" } as const }));
  return [...path, ...spotsInPairs(query ?? "", "query"), ...inFields];
}

type SpottedHead = Pick<WebHead, "action" | "query" | "fields" | "said">;

/** In `name=value` pairs with `&` between; a value is a placeholder whole or not at all. */
export function spotsInPairs(text: string, kind: "query" | "form"): Spot[] {
  if (!text.includes(PLACEHOLDER)) return [];
  return text.split("&").flatMap((pair) => {
    const mark = pair.indexOf("=");
    const credential = mark < 0 ? undefined : wholeOf(pair.slice(mark + 1));
    const name = mark < 0 ? "" : pair.slice(0, mark);
    return credential !== undefined && !name.includes(PLACEHOLDER)
      ? [{ credential, surface: { kind, name } }]
      : straysIn(pair);
  });
}

function spotsInField(name: string, value: string): Spot[] {
  if (name.includes(PLACEHOLDER)) return straysIn(name);
  const basic = name === "authorization" ? decodeBasic(value) : undefined;
  if (basic) {
    const credential = wholeOf(basic.user) ?? wholeOf(basic.password);
    const strays = straysIn(`${basic.user}:${basic.password}`);
    return credential !== undefined && strays.length === 1 ? [{ credential, surface: { kind: "basic" } }] : strays;
  }
  if (!value.includes(PLACEHOLDER)) return [];
  const strays = straysIn(value);
  const aws = name === "authorization" ? SIGNED.exec(value) : null;
  if (aws && strays.length === 1) {
    const [, credential = "", region = "", service = ""] = aws;
    return [{ credential, surface: { kind: "aws", region, service } }];
  }
  const credential = wholeOf(value.slice(value.indexOf(" ") + 1));
  const plain = /^(?:[A-Za-z][A-Za-z0-9-]{0,31} )?cordon_ph_[a-z0-9-]+$/.test(value);
  return credential !== undefined && plain ? [{ credential, surface: { kind: "header", name } }] : strays;
}

/** AWS Signature Version 4 made with the placeholder as access key id. */
const SIGNED =
  /^AWS4-HMAC-SHA256 Credential=cordon_ph_([a-z][a-z0-9-]{0,39})\/\d{8}\/([a-z0-9-]{1,32})\/([a-z0-9-]{1,32})\/aws4_request,/;

export interface Basic {
  readonly user: string;
  readonly password: string;
}

/** RFC 7617; undefined when the field is of another scheme, or not decodable: then it holds no placeholder either. */
export function decodeBasic(value: string): Basic | undefined {
  const token = /^basic +([A-Za-z0-9+/_=-]+)$/i.exec(value)?.[1];
  if (token === undefined) return undefined;
  const text = Buffer.from(token, "base64").toString("latin1");
  const colon = text.indexOf(":");
  return colon < 0 ? { user: text, password: "" } : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}
