import { createHash, createHmac } from "node:crypto";

/** An AWS key as the vault holds it: `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, with `:SESSION_TOKEN` for one that expires. */
export interface AwsKey {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
}

/** Undefined when the text has not that form. */
export function awsKeyOf(text: string): AwsKey | undefined {
  const match = /^([A-Z0-9]{16,128}):([A-Za-z0-9/+=]{16,128})(?::([A-Za-z0-9/+=_-]{16,8192}))?$/.exec(text);
  return match ? { accessKeyId: match[1] ?? "", secretAccessKey: match[2] ?? "", sessionToken: match[3] } : undefined;
}

export interface AwsRequest {
  readonly method: string;
  readonly url: URL;
  /** Every header that is to be signed besides `host` and `x-amz-date`; names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly region: string;
  readonly service: string;
  /** Milliseconds since the Unix epoch. */
  readonly atMs: number;
}

/**
 * AWS Signature Version 4 (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html) for a
 * service other than S3. Returns the headers to add: `authorization`, `x-amz-date`, and the token's where there is one.
 */
export function signAws(request: AwsRequest, key: AwsKey): Record<string, string> {
  const stamp = new Date(request.atMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
  const added = {
    "x-amz-date": stamp,
    ...(key.sessionToken === undefined ? {} : { "x-amz-security-token": key.sessionToken }),
  };
  const signed = Object.entries({ ...request.headers, ...added, host: request.url.host })
    .map(([name, value]): [string, string] => [name.toLowerCase(), value.trim().replace(/ +/g, " ")])
    .sort(byBytes);
  const names = signed.map(([name]) => name).join(";");
  const canonical = [
    request.method,
    canonicalPath(request.url.pathname),
    canonicalQuery(request.url.searchParams),
    ...signed.map(([name, value]) => `${name}:${value}`),
    "",
    names,
    sha256(request.body),
  ].join("\n");
  const scope = `${stamp.slice(0, 8)}/${request.region}/${request.service}/aws4_request`;
  const signature = hmac(
    signingKey(key, stamp.slice(0, 8), request),
    ["AWS4-HMAC-SHA256", stamp, scope, sha256(canonical)].join("\n"),
  ).toString("hex");
  const credential = `Credential=${key.accessKeyId}/${scope}`;
  return { ...added, authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${names}, Signature=${signature}` };
}

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, data: string): Buffer => createHmac("sha256", key).update(data).digest();

function signingKey(key: AwsKey, day: string, { region, service }: AwsRequest): Buffer {
  return hmac(hmac(hmac(hmac(`AWS4${key.secretAccessKey}`, day), region), service), "aws4_request");
}

/** RFC 3986 §2.3: all but the unreserved characters are escaped. */
const escape = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

/** The path as it is sent, each segment escaped once more. */
const canonicalPath = (path: string): string => path.split("/").map(escape).join("/") || "/";

const canonicalQuery = (query: URLSearchParams): string =>
  [...query]
    .map(([name, value]): [string, string] => [escape(name), escape(value)])
    .sort(byBytes)
    .map((pair) => pair.join("="))
    .join("&");

/** By name, then by value, as bytes: everything here is ASCII by now. */
function byBytes(a: readonly [string, string], b: readonly [string, string]): number {
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1;
  return a[1] < b[1] ? -1 : a[1] === b[1] ? 0 : 1;
}
