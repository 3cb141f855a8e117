/** A real OAuth server in this process (the package oidc-provider), and a person with a browser without eyes. */
import { createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
// @ts-expect-error the package has no types
import { Provider } from "oidc-provider";

export interface AuthorizationServer {
  readonly url: string;
  /** `grant_type` of each request to the token endpoint. */
  readonly grants: string[];
  /** Whether an access token is known and has not ended. */
  active(token: string): Promise<boolean>;
  close(): void;
}

export interface ServerSetting {
  readonly accessSeconds: number;
  /** Who may sign assertions: base64 of a public key, SPKI in DER. */
  readonly assertionKey: string;
}

const JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer";

export async function authorizationServer({
  accessSeconds,
  assertionKey,
}: ServerSetting): Promise<AuthorizationServer> {
  const grants: string[] = [];
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = (id: string, grantTypes: readonly string[], secret?: string): object => ({
    client_id: id,
    application_type: "native",
    grant_types: grantTypes,
    response_types: grantTypes.includes("authorization_code") ? ["code"] : [],
    redirect_uris: grantTypes.includes("authorization_code") ? ["http://127.0.0.1/callback"] : [],
    ...(secret === undefined
      ? { token_endpoint_auth_method: "none" }
      : { client_secret: secret, token_endpoint_auth_method: "client_secret_basic" }),
  });
  const provider = new Provider(url, {
    clients: [
      client("person", ["authorization_code", "refresh_token"]),
      client("device", ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"]),
      client("machine", ["client_credentials"], "machine-secret/with+signs"),
      client("signer", [JWT_BEARER]),
    ],
    cookies: { keys: ["a key for tests"] },
    pkce: { required: () => true },
    ttl: { AccessToken: accessSeconds, ClientCredentials: accessSeconds, RefreshToken: 3_600 },
    issueRefreshToken: () => true,
    rotateRefreshToken: () => true,
    features: {
      devInteractions: { enabled: true },
      deviceFlow: { enabled: true },
      clientCredentials: { enabled: true },
      revocation: { enabled: true },
    },
  });
  provider.registerGrantType(
    JWT_BEARER,
    async (ctx: { oidc: { params: { assertion: string }; client: object }; body: object; status: number }) => {
      const [head = "", claims = "", signature = ""] = ctx.oidc.params.assertion.split(".");
      const key = createPublicKey({ key: Buffer.from(assertionKey, "base64"), format: "der", type: "spki" });
      const right = verify(
        "sha256",
        Buffer.from(`${head}.${claims}`),
        { key, dsaEncoding: "ieee-p1363" },
        Buffer.from(signature, "base64url"),
      );
      const { aud, exp, sub } = JSON.parse(Buffer.from(claims, "base64url").toString()) as Record<string, unknown>;
      if (!right || aud !== `${url}/token` || Number(exp) * 1_000 < Date.now() || sub !== "the-service") {
        ctx.status = 400;
        ctx.body = { error: "invalid_grant" };
        return;
      }
      const token = new provider.ClientCredentials({ client: ctx.oidc.client });
      ctx.body = { access_token: await token.save(), token_type: "Bearer", expires_in: token.expiration };
    },
    ["assertion", "scope"],
  );
  provider.on("grant.success", (ctx: { oidc: { params: { grant_type: string } } }) =>
    grants.push(ctx.oidc.params.grant_type),
  );
  server.on("request", provider.callback());
  return {
    url,
    grants,
    active: async (token) => {
      const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
      return found !== undefined && found.isValid;
    },
    close: () => void server.close().closeAllConnections(),
  };
}

/** Opens an address, logs in, allows what is asked for, and goes where it is sent in the end. */
export async function person(address: string, answers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const jar = new Map<string, string>();
  let next: { url: string; body?: URLSearchParams } = { url: address };
  for (let step = 0; step < 20; step++) {
    const response = await fetch(next.url, {
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
      ...(next.body && { method: "POST", body: next.body }),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      jar.set(name, value);
    }
    const location = response.headers.get("location");
    if (location !== null) {
      next = { url: new URL(location, next.url).href };
      continue;
    }
    const page = await response.text();
    const action = /<form[^>]*action="([^"]+)"/.exec(page)?.[1];
    if (action === undefined) return new Response(page, { status: response.status });
    const attribute = (tag: string, name: string): string => new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? "";
    const inputs = [...page.matchAll(/<input[^>]*>/g)].map(([tag]) => [
      attribute(tag, "name"),
      attribute(tag, "value"),
    ]);
    const body = new URLSearchParams(inputs.filter(([name]) => name !== ""));
    for (const [name, value] of Object.entries({ login: "ada", password: "x", ...answers }))
      if (body.has(name)) body.set(name, value);
    next = { url: new URL(action.replaceAll("&amp;", "&"), next.url).href, body };
  }
  throw new Error(`no end of redirections: ${next.url}`);
}
