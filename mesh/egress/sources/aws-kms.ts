import { err, ok, type Result } from "../../../lib/result.ts";
import type { Secret } from "../../../lib/redact.ts";
import { awsKeyOf, signAws } from "../signing.ts";
import type { Endpoint, JsonObject } from "./endpoint.ts";
import { base64Of, keyIn, wrapFault, type KeyWrapper, type WrapFault } from "./key-wrapper.ts";

/** A key of the Key Management Service of AWS, and who asks. */
export interface AwsKmsSetting {
  readonly address: string;
  /** ARN of a symmetric key, or of an alias of one. */
  readonly key: string;
  /** `ID:SECRET`, as in `AwsKey`. */
  readonly token: Secret;
}

/** ARN → region and the address of its service; undefined: it is none of a key or an alias. */
export function kmsRegionOf(arn: string): { readonly region: string; readonly address: string } | undefined {
  const [, partition, region = ""] = ARN.exec(arn) ?? [];
  if (partition === undefined) return undefined;
  return { region, address: `https://kms.${region}.amazonaws.com${partition === "aws-cn" ? ".cn" : ""}` };
}
const ARN =
  /^arn:(aws|aws-cn|aws-us-gov):kms:([a-z]{2}(?:-[a-z]{1,16}){1,3}-\d):\d{12}:(?:key\/[A-Za-z0-9-]{1,64}|alias\/[A-Za-z0-9/_-]{1,250})$/;

/** docs.aws.amazon.com/kms/latest/APIReference, `Encrypt` and `Decrypt`, signed with version 4. */
export function awsKmsWrapper(setting: AwsKmsSetting, ask: Endpoint, nowMs: () => number): KeyWrapper {
  const { address } = setting;
  return {
    async wrap(plain, signal) {
      const answer = await call(setting, ask, "Encrypt", { Plaintext: base64Of(plain) }, nowMs(), signal);
      if (!answer.ok) return answer;
      const ciphertext = answer.value["CiphertextBlob"];
      return typeof ciphertext === "string" && CIPHERTEXT.test(ciphertext)
        ? ok(ciphertext)
        : err(wrapFault(address, "answered without a ciphertext", "look at the address"));
    },
    async unwrap(ciphertext, signal) {
      const answer = await call(setting, ask, "Decrypt", { CiphertextBlob: ciphertext }, nowMs(), signal);
      return answer.ok ? keyIn(address, answer.value["Plaintext"]) : answer;
    },
  };
}

/** At most 6,144 bytes, says the reference. */
const CIPHERTEXT = /^[A-Za-z0-9+/]{1,8192}={0,2}$/;
/** Bound to the ciphertext, and shown in the trail of who has used the key. */
const CONTEXT = { purpose: "cordon vault key" };

async function call(
  { address, key, token }: AwsKmsSetting,
  ask: Endpoint,
  verb: "Encrypt" | "Decrypt",
  members: { readonly [name: string]: string },
  atMs: number,
  signal: AbortSignal,
): Promise<Result<JsonObject, WrapFault>> {
  const awsKey = token.reveal((bytes) => awsKeyOf(Buffer.from(bytes).toString("latin1")));
  if (!awsKey) return err(wrapFault(address, "was not asked: the token holds no AWS key", "give one as ID:SECRET"));
  const url = new URL(address);
  const body = Buffer.from(JSON.stringify({ KeyId: key, EncryptionContext: CONTEXT, ...members }));
  const headers = { "content-type": "application/x-amz-json-1.1", "x-amz-target": `TrentService.${verb}` };
  const { region = "" } = kmsRegionOf(key) ?? {};
  const signed = signAws({ method: "POST", url, headers, body, region, service: "kms", atMs }, awsKey);
  const answer = await ask({ method: "POST", url, headers: { ...headers, ...signed }, body }, signal);
  body.fill(0);
  if (!answer.ok) return err(wrapFault(address, `did not answer: ${answer.error}`, "see whether it can be reached"));
  if (answer.value.status === 200) return ok(answer.value.body);
  const what = `refused to ${verb} with the key \`${key}\` (${answer.value.status}${codeIn(answer.value.body)})`;
  return err(wrapFault(address, what, "look at the key's state and policy, and at what this AWS key may do"));
}

/** The name of the error, as `com.amazonaws…#NAME` or alone; nothing else of the answer is repeated. */
function codeIn(body: JsonObject): string {
  const type = body["__type"];
  const match = typeof type === "string" ? /^(?:[a-z.0-9]{1,64}#)?([A-Za-z]{1,64})$/.exec(type) : null;
  return match ? `, ${match[1]}` : "";
}
