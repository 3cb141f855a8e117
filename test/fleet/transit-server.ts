/** The transit engine of HashiCorp Vault as its documentation says it answers: AES-256-GCM under a key that never leaves it. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type TransitTrouble = "" | "down" | "sealed" | "redirect" | "html" | "short" | "another" | "empty";

export interface TransitServer {
  readonly address: string;
  /** `METHOD PATH`, in the order in which they came. */
  readonly asked: string[];
  trouble: TransitTrouble;
  close(): void;
}

export async function startTransit(token: string): Promise<TransitServer> {
  const keys = new Map([["cordon", randomBytes(32)]]);
  const server = createServer((request, response) => void answer(request, response));
  const state = { asked: [] as string[], trouble: "" as TransitTrouble };

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const piece of request as AsyncIterable<Buffer>) text += piece.toString();
    state.asked.push(`${request.method} ${request.url}`);
    const { trouble } = state;
    const say = (status: number, body: object): void =>
      void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (trouble === "down") return void request.socket.destroy();
    if (trouble === "sealed") return say(503, { errors: ["Vault is sealed"] });
    if (trouble === "redirect") return void response.writeHead(307, { location: "/v1/elsewhere" }).end();
    if (trouble === "html") return void response.end("<html>");
    if (request.headers["x-vault-token"] !== token) return say(403, { errors: ["permission denied"] });
    const [, verb = "", name = ""] = /^\/v1\/transit\/(encrypt|decrypt)\/([a-z]+)$/.exec(request.url ?? "") ?? [];
    const key = keys.get(name);
    if (request.method !== "POST" || !key) return say(404, { errors: [] });
    const body = JSON.parse(text) as Record<string, string>;
    if (trouble === "empty") return say(200, { data: {} });
    if (verb === "encrypt") {
      const nonce = randomBytes(12);
      const box = createCipheriv("aes-256-gcm", key, nonce);
      const sealed = Buffer.concat([box.update(Buffer.from(body["plaintext"] ?? "", "base64")), box.final()]);
      const bytes = Buffer.concat([nonce, sealed, box.getAuthTag()]);
      return say(200, { data: { ciphertext: `vault:v1:${bytes.toString("base64")}`, key_version: 1 } });
    }
    if (trouble === "another") return say(200, { data: { plaintext: randomBytes(32).toString("base64") } });
    if (trouble === "short") return say(200, { data: { plaintext: randomBytes(16).toString("base64") } });
    try {
      const bytes = Buffer.from((body["ciphertext"] ?? "").replace("vault:v1:", ""), "base64");
      const box = createDecipheriv("aes-256-gcm", key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(-16));
      const plain = Buffer.concat([box.update(bytes.subarray(12, -16)), box.final()]);
      return say(200, { data: { plaintext: plain.toString("base64") } });
    } catch {
      return say(400, { errors: ["cipher: message authentication failed"] });
    }
  }

  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return Object.assign(state, {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  });
}
