/** A guest that knows nothing but `fetch` reaches what its agent may reach, by the variables that PID 1 has set. */
import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";

const guest = `
import { readFileSync, writeSync } from "node:fs";
const tell = (fields) => writeSync(1, JSON.stringify({ kind: "web", ...fields }) + "\\n");
const [place, other] = process.argv.slice(2);
const get = (url) => fetch(url).then(async (answer) => answer.status + " " + (await answer.text()), (error) => "failed: " + error.message);
const bundle = readFileSync(process.env.NODE_EXTRA_CA_CERTS, "utf8");
tell({ allowed: await get(place), denied: await get(other), authority: bundle.includes("BEGIN CERTIFICATE") });
setInterval(() => {}, 1e6);
`;

let upstream: Server;
let mesh: MeshFixture;
const hosts: string[] = [];
before(async () => {
  upstream = createServer((request, response) => {
    hosts.push(request.headers.host ?? "");
    response.end("from the web");
  });
  await new Promise<void>((resolve) => upstream.listen(0, "127.0.0.1", resolve));
  const { port } = upstream.address() as AddressInfo;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: web
defaults: { model: rehearsal/echo, budget: { day: { usd: 1 } } }
agents:
  fetcher:
    command: [/bin/node, /code/guest.mjs, "http://news.example:${port}/x", "http://other.example:${port}/x"]
    code: code
    sandbox: { cpus: 1 }
    may: { reach: [{ to: "http://news.example:${port}", methods: [GET], address: 127.0.0.1 }] }
`,
    "code/guest.mjs": guest,
  });
});
after(async () => {
  await mesh?.stop();
  upstream.close();
});

test("what is listed answers, what is not is refused before it leaves", async () => {
  const told = await eventually("the guest's answers", async () => (await printed(mesh, "fetcher", "web"))[0], 60_000);
  assert.equal(told["allowed"], "200 from the web");
  assert.match(String(told["denied"]), /^403 .*other\.example/s);
  assert.equal(told["authority"], true);
  assert.deepEqual(
    hosts.map((host) => host.split(":")[0]),
    ["news.example"],
  );
});
