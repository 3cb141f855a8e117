/** `Encrypt` and `Decrypt` of the Key Management Service as its API reference says it answers; every signature is checked. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { awsKeyOf, signAws, type AwsKey } from "../../mesh/egress/signing.ts";

export type KmsTrouble = "" | "down" | "denied" | "redirect" | "html" | "short" | "another" | "empty";
type Context = Readonly<Record<string, string>>;

export interface KmsServer {
  readonly address: string;
  /** `x-amz-target` of each request, in the order in which they came. */
  readonly asked: string[];
  trouble: KmsTrouble;
  /** Something that the first key has wrapped in this context. */
  wrapped(context: Context): string;
  close(): void;
}

export async function startKms(awsKey: string, arns: readonly [string, ...string[]]): Promise<KmsServer> {
  const known = awsKeyOf(awsKey) as AwsKey;
  const keys = new Map(arns.map((arn) => [arn, randomBytes(32)]));
  const server = createServer((request, response) => void answer(request, response));
  const state = { asked: [] as string[], trouble: "" as KmsTrouble };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const piece of request as AsyncIterable<Buffer>) text += piece.toString();
    const target = String(request.headers["x-amz-target"]);
    state.asked.push(target);
    const { trouble } = state;
    const say = (status: number, body: object): void =>
      void response.writeHead(status, { "content-type": "application/x-amz-json-1.1" }).end(JSON.stringify(body));
    const refuse = (type: string): void => say(400, { __type: `com.amazonaws.kms#${type}`, message: "not repeated" });
    if (trouble === "down") return void request.socket.destroy();
    if (trouble === "redirect") return void response.writeHead(307, { location: "/elsewhere" }).end();
    if (trouble === "html") return void response.end("<html>");
    if (!isSigned(request, text, known)) return refuse("InvalidSignatureException");
    if (trouble === "denied") return refuse("AccessDeniedException");
    if (trouble === "empty") return say(200, {});
    const body = JSON.parse(text) as { KeyId: string; EncryptionContext: Context } & Record<string, string>;
    const key = keys.get(body.KeyId);
    if (!key) return refuse("NotFoundException");
    if (target === "TrentService.Encrypt") {
      const blob = sealed(key, body.EncryptionContext, Buffer.from(body["Plaintext"] ?? "", "base64"));
      return say(200, { CiphertextBlob: blob, KeyId: body.KeyId, EncryptionAlgorithm: "SYMMETRIC_DEFAULT" });
    }
    if (trouble === "another" || trouble === "short")
      return say(200, { Plaintext: randomBytes(trouble === "short" ? 16 : 32).toString("base64"), KeyId: body.KeyId });
    try {
      const bytes = Buffer.from(body["CiphertextBlob"] ?? "", "base64");
      const box = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12));
      box.setAAD(Buffer.from(JSON.stringify(body.EncryptionContext))).setAuthTag(bytes.subarray(-16));
      const plain = Buffer.concat([box.update(bytes.subarray(12, -16)), box.final()]);
      return say(200, { Plaintext: plain.toString("base64"), KeyId: body.KeyId });
    } catch {
      return refuse("InvalidCiphertextException");
    }
  }

  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return Object.assign(state, {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    wrapped: (context: Context) => sealed(keys.get(arns[0]) as Buffer, context, randomBytes(32)),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
}

function sealed(key: Buffer, context: Context, plain: Buffer): string {
  const nonce = randomBytes(12);
  const box = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(JSON.stringify(context)));
  return Buffer.concat([nonce, box.update(plain), box.final(), box.getAuthTag()]).toString("base64");
}

/** For the region of the keys here, over the body and the headers that the service demands. */
function isSigned(request: IncomingMessage, text: string, key: AwsKey): boolean {
  const { host = "", authorization, "x-amz-date": date, "x-amz-target": target } = request.headers;
  const at = String(date).replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, "$1-$2-$3T$4:$5:$6Z");
  const expected = signAws(
    {
      ...{ method: "POST", url: new URL(`http://${host}${request.url}`), body: Buffer.from(text) },
      headers: { "content-type": String(request.headers["content-type"]), "x-amz-target": String(target) },
      ...{ region: "eu-central-1", service: "kms", atMs: Date.parse(at) },
    },
    key,
  );
  return Math.abs(Date.parse(at) - Date.now()) < 300_000 && expected["authorization"] === authorization;
}
