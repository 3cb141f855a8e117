import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, existsSync, rmSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { webEnvironment } from "./web-access.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-web-access-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const PEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

let count = 0;
async function askAt(door: RequestListener | null) {
  const socket = join(folder, `door-${++count}.sock`);
  const bundle = join(folder, `bundle-${count}.pem`);
  const server = door && createServer(door);
  if (server) await new Promise<void>((resolve) => server.listen(socket, resolve));
  const events: string[] = [];
  const environment = await webEnvironment(socket, (_, event) => void events.push(event), bundle);
  server?.close();
  return { environment, bundle, events };
}

test("a gateway's authority makes proxy variables and a bundle that holds it", async () => {
  const { environment, bundle } = await askAt((request, response) => {
    response.statusCode = request.url === "/v1/web/authority.pem" ? 200 : 404;
    response.end(PEM);
  });
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"])
    assert.equal(environment[name], "http://127.0.0.1:7070");
  for (const name of ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"])
    assert.equal(environment[name], bundle);
  assert.match(environment["NO_PROXY"] ?? "", /127\.0\.0\.1/);
  assert.ok(readFileSync(bundle, "utf8").endsWith(PEM));
});

test("without a gateway nothing is set, and no bundle is written", async () => {
  for (const door of [
    ((_, response) => void response.end("")) satisfies RequestListener,
    ((_, response) => void response.writeHead(404).end(PEM)) satisfies RequestListener,
    null,
  ]) {
    const { environment, bundle, events } = await askAt(door);
    assert.deepEqual(environment, {});
    assert.equal(existsSync(bundle), false);
    assert.deepEqual(events, door === null ? ["web.no_access"] : []);
  }
});

test("an answer without an end is not read to its end", async () => {
  const { environment, events } = await askAt((_, response) => {
    response.on("error", () => {});
    const piece = "x".repeat(64 * 1024);
    const more = (): void => {
      while (!response.destroyed && response.write(piece));
      if (!response.destroyed) response.once("drain", more);
    };
    more();
  });
  assert.deepEqual([environment, events], [{}, ["web.no_access"]]);
});
