/** Requests that look allowed and mean another place to the server that reads them. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fetch, ProxyAgent } from "undici";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../../fleet/web-place.ts";

const authority = new OutsideAuthority();
const arrived: string[] = [];
let outside: Outside;
let place: WebPlace;
let dispatcher: ProxyAgent;
let to: string;

before(async () => {
  outside = await startOutside(
    (request, response) => {
      arrived.push(`${request.method} ${request.url} -> ${String(request.headers["destination"])}`);
      response.end("done");
    },
    "dav.test",
    authority,
  );
  to = `https://dav.test:${outside.port}`;
  place = await startWeb({
    reach: [{ to, address: "127.0.0.1", methods: ["GET", "PUT", "COPY", "MOVE"], paths: ["/public/**"] }] as never,
    ca: authority.pem,
  });
  dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${place.proxyPort}`,
    requestTls: { ca: await place.authority() },
  });
});

after(async () => {
  await dispatcher.destroy();
  await place.close();
  await outside.close();
});

async function ask(method: string, path: string, headers: Record<string, string> = {}): Promise<number> {
  const answered = await fetch(`${to}${path}`, { method, headers, dispatcher });
  await answered.text();
  return answered.status;
}

test("MOVE and COPY end where the agent may go, too", async () => {
  assert.equal(await ask("MOVE", "/public/a", { destination: `${to}/public/b` }), 200);
  assert.equal(await ask("COPY", "/public/a", { destination: "/public/c" }), 200);
  assert.deepEqual(arrived.splice(0), [`MOVE /public/a -> ${to}/public/b`, "COPY /public/a -> /public/c"]);
  for (const destination of [
    "/private/a",
    `${to}/private/a`,
    "/public/../private/a",
    "/public/%2e%2e/private",
    "/public/..%2fprivate",
    "//evil.test/public/a",
    "https://evil.test/public/a",
    `${to}@evil.test/public/a`,
    `${to.toUpperCase()}/private/a`,
    "public/a",
    "",
    "/public/a?b",
  ])
    assert.equal(await ask("MOVE", "/public/a", { destination }), 403, destination || "empty");
  assert.deepEqual(arrived, []);
});

test("no store fetches from elsewhere for whoever may only put", async () => {
  for (const name of ["x-amz-copy-source", "x-ms-copy-source", "x_goog_copy_source", "x-original-uri"])
    assert.equal(await ask("PUT", "/public/a", { [name]: "/private/a" }), 403, name);
  assert.deepEqual(arrived, []);
});

test("dots with parameters are no way up, however they are escaped", async () => {
  for (const path of ["/public/%2e%2e;/private", "/public/.%2E;a=b/private", "/public/..;/private"])
    assert.equal(await ask("GET", path), 403, path);
  assert.deepEqual(arrived, []);
});
