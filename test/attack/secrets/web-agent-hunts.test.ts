/** A guest uses a credential over HTTPS with nothing but its environment, then looks for it in all that it can read. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, type Outside } from "../../fleet/web-place.ts";

const secret = `canary-${randomBytes(16).toString("hex")}`;
const authority = new OutsideAuthority();
let outside: Outside;
let mesh: MeshFixture | undefined;
let got = 0;

const guest = (port: number): string => `
import { readFileSync, readdirSync, statSync, writeSync } from "node:fs";
const tell = (kind, fields) => writeSync(1, JSON.stringify({ kind, ...fields }) + "\\n");
const used = [];
for (let i = 0; i < 3; i++) {
  const answer = await fetch("https://api.test:${port}/echo", { method: "POST", body: "x", headers: { "x-api-key": "cordon_ph_key" } });
  used.push(answer.status + " " + (await answer.text()) + JSON.stringify([...answer.headers]));
}
let read = 0;
const CANARY = /canary-[0-9a-f]{6,}/g;
const hits = [];
const pieces = [JSON.stringify(process.env), used.join("\\n")];
const walk = (folder, depth) => {
  let names = [];
  try { names = readdirSync(folder); } catch { return; }
  for (const name of names) {
    const path = folder + "/" + name;
    try {
      const stat = statSync(path);
      if (stat.isDirectory()) { if (depth > 0 && !path.startsWith("/proc/sys")) walk(path, depth - 1); }
      else if (stat.isFile() && stat.size < 5e6 && !/\\/(kmsg|kcore|mem|pagemap|clear_refs)$/.test(path)) { pieces.push(readFileSync(path, "latin1")); read++; }
    } catch {}
  }
};
for (const folder of ["/tmp", "/data", "/run", "/code", "/etc", "/opt/cordon/agent/init"]) walk(folder, 3);
for (const folder of ["/proc/self", "/proc/1"]) walk(folder, 0);
// Its own memory, with all that has ever come to it.
let memory = 0;
try {
  const { openSync, readSync } = await import("node:fs");
  const fd = openSync("/proc/self/mem", "r");
  for (const line of readFileSync("/proc/self/maps", "utf8").split("\\n")) {
    const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
    if (!from) continue;
    const bytes = Buffer.alloc(1 << 18);
    for (let at = parseInt(from, 16); at < parseInt(to, 16) && memory < 8e7; at += bytes.length - 64) {
      let length = 0;
      try { length = readSync(fd, bytes, 0, bytes.length, at); } catch { break; }
      memory += length;
      hits.push(...(bytes.latin1Slice(0, length).match(CANARY) ?? []));
    }
  }
} catch {}
// The canary is not in this program: it looks for its form.
hits.push(...pieces.flatMap((text) => text.match(CANARY) ?? []));
tell("end", { used, read, memory, hits: hits.slice(0, 20) });
setInterval(() => {}, 1e6);
`;

before(async () => {
  outside = await startOutside(
    (request, response) => {
      if (request.headers["x-api-key"] === secret) got++;
      request.resume().on("end", () => response.writeHead(200, { "x-key": secret }).end(`your key is ${secret}`));
    },
    "api.test",
    authority,
  );
  mesh = await startMesh({
    "ca.pem": authority.pem,
    "cordon.yaml": `
version: 1
fleet: hunt
web: { ca: ca.pem }
bindings: { key: [{ to: "https://api.test:${outside.port}", in: { header: x-api-key }, require: true }] }
agents:
  guest:
    model: rehearsal/echo
    command: [/bin/node, /code/guest.mjs]
    code: code
    sandbox: { cpus: 1 }
    may: { use: [key], reach: [{ to: "https://api.test:${outside.port}", address: 127.0.0.1 }] }
`,
    "code/guest.mjs": guest(outside.port),
  });
  await mesh.desk.addCredential("key", Buffer.from(secret));
  await mesh.restart("guest");
});

after(async () => {
  await mesh?.stop();
  await outside.close();
});

test("the credential is used, and is nowhere in the sandbox, the audit, the log and the files of the mesh", async () => {
  const running = mesh;
  assert.ok(running);
  const end = await eventually(
    "the end",
    async () => (await printed(running, "guest", "end")).find(({ used }) => String(used).includes("200 ")),
    60_000,
  );
  assert.ok(got >= 3, "it was really sent");
  assert.ok(Number(end["read"]) > 20 && Number(end["memory"]) > 5e6, "it has looked");
  assert.match(String(end["used"]), /your key is \[credential removed by cordon\]/);
  assert.deepEqual(end["hits"], []);
  const audit = JSON.stringify(await running.desk.audit(0, 200));
  assert.match(audit, /web\.request/);
  assert.ok(!audit.includes(secret));
  assert.ok(!running.errors().includes(secret));
  for (const file of ["cordon.sqlite", "cordon.sqlite-wal", join("logs", "guest.log")]) {
    const text = ((): string => {
      try {
        return readFileSync(join(running.state, file), "latin1");
      } catch {
        return "";
      }
    })();
    assert.ok(!text.includes(secret), file);
  }
});
