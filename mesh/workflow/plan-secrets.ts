import type { Fault } from "../config/source.ts";

/** Forms of well-known keys: a fixed beginning and the least number of characters that must follow. */
const PREFIXES: readonly (readonly [prefix: string, following: number])[] = [
  ...(["sk-", "sk_live_", "sk_test_", "rk_live_", "pk_live_"] as const).map((prefix) => [prefix, 16] as const),
  ...(["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "hf_", "npm_", "dop_v1_"] as const).map(
    (prefix) => [prefix, 16] as const,
  ),
  ...(["xoxb-", "xoxp-", "xoxa-", "xapp-", "whsec_", "SG."] as const).map((prefix) => [prefix, 16] as const),
  ["AIza", 30],
  ["AKIA", 16],
  ["ASIA", 16],
  ["eyJ", 40],
];
const PEM = "-----BEGIN ";
const NAMES = [
  "password",
  "passwd",
  "secret",
  "token",
  "api_key",
  "apikey",
  "api-key",
  "authorization",
  "private_key",
  "credential",
];

/** Key-shaped texts in a workflow file, which is read by many. The value itself is never repeated. */
export function secretsIn(text: string): readonly Fault[] {
  const faults: Fault[] = [];
  text.split("\n").forEach((line, index) => {
    const column = placeOfSecret(line);
    if (column !== undefined)
      faults.push({
        line: index + 1,
        column: column + 1,
        message: "this looks like a secret in clear text",
        fix: "revoke it, keep the new one with `cordon credential add NAME`, and remove it here",
      });
  });
  return faults;
}

function placeOfSecret(line: string): number | undefined {
  const pem = line.indexOf(PEM);
  if (pem >= 0 && line.includes("PRIVATE KEY", pem)) return pem;
  for (const { index, 0: word } of line.matchAll(/[A-Za-z0-9_.+/=-]{16,}/g)) {
    if (PREFIXES.some(([prefix, following]) => word.startsWith(prefix) && word.length >= prefix.length + following))
      return index;
    if (isRandom(word)) return index;
  }
  return underTellingName(line);
}

/** `password: hunter2hunter2`: a literal value under a name that tells what it is. */
function underTellingName(line: string): number | undefined {
  const colon = line.indexOf(":");
  if (colon < 0) return undefined;
  const words = line.slice(0, colon).toLowerCase();
  const name = words
    .slice(Math.max(words.lastIndexOf(" "), words.lastIndexOf("{"), words.lastIndexOf("-")) + 1)
    .replaceAll(/["']/g, "");
  const value = line
    .slice(colon + 1)
    .trim()
    .replaceAll(/["']/g, "");
  const literal = /^[^\s${}[\],]{8,}$/.test(value);
  return literal && NAMES.includes(name) ? colon + 1 + line.slice(colon + 1).search(/\S/) : undefined;
}

/** Forty or more characters that mix cases and digits without looking like words or hex digests. */
function isRandom(word: string): boolean {
  if (word.length < 40 || word.includes("/") || word.includes("..")) return false;
  const counts = [/[a-z]/g, /[A-Z]/g, /[0-9]/g].map((form) => word.match(form)?.length ?? 0);
  return counts.every((count) => count >= 4);
}
