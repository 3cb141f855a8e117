import { err, type Result } from "../../lib/result.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { ReadForm, WireFormat } from "../egress/wire/format.ts";
import { held, readBody, type HttpRequest } from "../http/exchange.ts";

/** Bytes of memory for a byte of a form: as it came, and as it is sent on, where a sample has three bytes and not two. */
const FORM_WEIGHT = 2.5;

/** A call whose body is a form, with the file that is in it. */
export async function readForm(format: WireFormat, request: HttpRequest): Promise<Result<ReadForm, Refusal>> {
  const body = await readBody(request, limits.sound.bodyBytesMax);
  if (!body.ok) return body;
  const type = request.headers["content-type"];
  if (typeof type !== "string" || !format.form) return err(refusal("malformed", "the body has no type", "name one"));
  return held(request, body.value.length * FORM_WEIGHT) ?? format.form(type, body.value);
}
