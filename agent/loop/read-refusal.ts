import { refusal, refusalStatus, type Refusal, type RefusalCode } from "../../protocol/refusal.ts";

const isCode = (text: unknown): text is RefusalCode => typeof text === "string" && Object.hasOwn(refusalStatus, text);

export type Fields = Readonly<Record<string, unknown>>;
export const fieldsOf = (value: unknown): Fields | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;

export function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Understands both shapes of a refusal: our own `{error:{code,reason,remedy}}` and, on model routes, the
 * provider's `{error:{message,type,code}}`, in which the code stands in `code` or `type`.
 */
export function readRefusal(status: number, text: string): Refusal {
  return refusalOf(fieldsOf(tryJson(text))?.["error"], status);
}

export function refusalOf(error: unknown, status: number): Refusal {
  const fields = fieldsOf(error) ?? {};
  const code = [fields["code"], fields["type"]].find(isCode) ?? codeOf(status);
  const reason = [fields["reason"], fields["message"]].find((text) => typeof text === "string");
  const remedy = typeof fields["remedy"] === "string" ? fields["remedy"] : "";
  return refusal(code, reason ?? `the door answered with status ${status}`, remedy);
}

/** For answers that name no code of ours, such as a provider's own error passed on. */
function codeOf(status: number): RefusalCode {
  if (status === 429) return "rate_limited";
  const known = Object.entries(refusalStatus).find(([, carried]) => carried === status)?.[0];
  if (isCode(known)) return known;
  return status >= 400 && status < 500 ? "upstream_rejected" : "upstream_failed";
}
