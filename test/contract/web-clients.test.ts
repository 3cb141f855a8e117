/**
 * Clients as people have them, unchanged, through the gateway: they know a proxy, a certificate and a placeholder. In a
 * sandbox, and with npm and psql: web-clients-inside.test.ts.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { createReadStream, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ProxyAgent, WebSocket } from "undici";
import { OutsideAuthority, startOutside, startWeb, type Outside, type WebPlace } from "../fleet/web-place.ts";
import { answerWebSockets } from "../fleet/web-socket-server.ts";

const secret = `canary-${randomBytes(12).toString("hex")}`;
const authority = new OutsideAuthority();
const has = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(":").some((folder) => existsSync(join(folder, program)));
let onEvent = (): void => {};
let folder: string;
let outside: Outside;
let place: WebPlace;
let to: string;
let caFile: string;
const seen: {
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly bytes: number;
  readonly sha: string;
}[] = [];

before(async () => {
  folder = mkdtempSync(join(tmpdir(), "cordon-clients-"));
  outside = await startOutside((request, response) => listener(request, response), "api.test", authority);
  answerWebSockets(outside.server, (text, say) => say(`you said ${text}`));
  to = `https://api.test:${outside.port}`;
  place = await startWeb({
    reach: [{ to, address: "127.0.0.1" }],
    ca: authority.pem,
    bindings: {
      key: [
        { to, paths: ["/bearer/**"], in: { header: "authorization" }, require: true },
        { to, paths: ["/repo.git/**"], in: "basic", require: true },
        { to, paths: ["/socket"], in: "websocket" },
      ],
    },
    secrets: { key: secret },
  });
  caFile = join(folder, "ca.pem");
  writeFileSync(caFile, await place.authority());
});

after(async () => {
  await place.close();
  await outside.close();
  rmSync(folder, { recursive: true, force: true });
});

function listener(request: IncomingMessage, response: ServerResponse): void {
  if (request.url?.startsWith("/big")) return sendBig(request, response);
  if (request.url?.startsWith("/repo.git/")) return sendFile(request, response);
  const hash = createHash("sha256");
  let bytes = 0;
  request.on("data", (piece: Buffer) => {
    bytes += piece.length;
    hash.update(piece);
  });
  request.on("end", () => {
    seen.push({ url: request.url ?? "", headers: request.headers, bytes, sha: hash.digest("hex") });
    if (request.url === "/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: one\n\n");
      // The second event comes when the first has been seen.
      onEvent = () => response.end("data: two\n\n");
      return;
    }
    response
      .writeHead(200, { "content-type": "application/json" })
      .end(JSON.stringify({ sent: request.headers, bytes }));
  });
}

function sendBig(request: IncomingMessage, response: ServerResponse): void {
  const bytes = Number(request.url?.split("?")[1]);
  response.writeHead(200, { "content-length": bytes });
  const piece = Buffer.alloc(65_536, "0123456789abcdef");
  let left = bytes;
  const more = (): void => {
    while (left > 0) {
      left -= piece.length;
      if (!response.write(piece.subarray(0, Math.min(piece.length, left + piece.length))))
        return void response.once("drain", more);
    }
    response.end();
  };
  more();
}

/** A bare repository by plain files (`git update-server-info`): enough for a clone, and it wants a password. */
function sendFile(request: IncomingMessage, response: ServerResponse): void {
  const password = Buffer.from((request.headers.authorization ?? "").slice("Basic ".length), "base64").toString();
  if (password !== `x:${secret}`) return void response.writeHead(401, { "www-authenticate": "Basic" }).end();
  const file = join(folder, (request.url ?? "").split("?")[0] ?? "");
  if (!existsSync(file)) return void response.writeHead(404).end();
  createReadStream(file).pipe(response.writeHead(200));
}

/** Runs a program with what a sandbox gives to every guest; resolves with all that it printed. */
function run(
  program: string,
  words: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; out: string }> {
  const proxy = `http://127.0.0.1:${place.proxyPort}`;
  const environment = {
    ...{
      PATH: process.env["PATH"] ?? "",
      HOME: folder,
      HTTP_PROXY: proxy,
      HTTPS_PROXY: proxy,
      http_proxy: proxy,
      https_proxy: proxy,
    },
    ...{
      SSL_CERT_FILE: caFile,
      CURL_CA_BUNDLE: caFile,
      GIT_SSL_CAINFO: caFile,
      NODE_EXTRA_CA_CERTS: caFile,
      REQUESTS_CA_BUNDLE: caFile,
    },
    ...{ NODE_USE_ENV_PROXY: "1", GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1" },
    ...more,
  };
  const child = spawn(program, words, { env: environment, cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (out += piece.toString()));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out })));
}

for (const version of ["--http1.1", "--http2"]) {
  test(
    `curl ${version}: a header with a placeholder goes out as the credential and comes back as none`,
    { skip: !has("curl") },
    async () => {
      const { out, code } = await run("curl", [
        "-sS",
        version,
        "-H",
        "Authorization: Bearer cordon_ph_key",
        `${to}/bearer/x`,
      ]);
      assert.equal(code, 0, out);
      assert.equal(seen.at(-1)?.headers.authorization, `Bearer ${secret}`);
      assert.ok(!out.includes(secret));
      assert.match(out, /credential removed by cordon/);
    },
  );

  test(`curl ${version}: an upload arrives whole`, { skip: !has("curl") }, async () => {
    const body = randomBytes(3_000_000);
    writeFileSync(join(folder, "upload"), body);
    const { code, out } = await run("curl", ["-sS", version, "-T", "upload", `${to}/upload`]);
    assert.equal(code, 0, out);
    assert.deepEqual(
      [seen.at(-1)?.bytes, seen.at(-1)?.sha],
      [body.length, createHash("sha256").update(body).digest("hex")],
    );
  });

  test(`curl ${version}: events come one by one`, { skip: !has("curl") }, async () => {
    const ready = place.events.length;
    const child = run("curl", ["-sS", "-N", version, `${to}/events`]);
    while (seen.at(-1)?.url !== "/events") await new Promise((resolve) => setTimeout(resolve, 5));
    assert.equal(place.events.length, ready, "the answer is still open");
    onEvent();
    assert.equal((await child).out, "data: one\n\ndata: two\n\n");
    seen.pop();
  });
}

test("curl is told at CONNECT what it may not reach", { skip: !has("curl") }, async () => {
  const { out, code } = await run("curl", ["-sS", "-i", "https://elsewhere.test/"]);
  assert.equal(code, 56, out);
  assert.match(out, /CONNECT tunnel failed, response 403/);
});

test(
  "a client that trusts the far end's authority only is told apart from an attack",
  { skip: !has("curl") },
  async () => {
    const pinned = join(folder, "pinned.pem");
    writeFileSync(pinned, authority.pem);
    const { out, code } = await run("curl", ["-sS", "--cacert", pinned, `${to}/bearer/x`]);
    assert.equal(code, 60, out);
    const last = JSON.stringify(place.records.at(-1));
    assert.match(last, /agree on no TLS \(ERR_SSL_[A-Z0-9_]*UNKNOWN_CA\)/);
  },
);

test("git clones over https with a placeholder as password", { skip: !has("git") }, async () => {
  const git = (...words: string[]): string =>
    execFileSync("git", ["-C", join(folder, "work"), "-c", "user.name=t", "-c", "user.email=t@t", ...words], {
      stdio: "pipe",
    }).toString();
  mkdirSync(join(folder, "work"));
  git("init", "-q", "-b", "main");
  writeFileSync(join(folder, "work/file"), "inside the repository\n");
  git("add", "file");
  git("commit", "-q", "-m", "first");
  execFileSync("git", ["clone", "-q", "--bare", join(folder, "work"), join(folder, "repo.git")], { stdio: "pipe" });
  execFileSync("git", ["-C", join(folder, "repo.git"), "update-server-info"], { stdio: "pipe" });
  const { code, out } = await run("git", [
    "clone",
    "-q",
    `${to.replace("https://", "https://x:cordon_ph_key@")}/repo.git`,
    "cloned",
  ]);
  assert.equal(code, 0, out);
  assert.equal(readFileSync(join(folder, "cloned/file"), "utf8"), "inside the repository\n");
});

test("fetch of Node, with the proxy from its environment", async () => {
  const script = `const r = await fetch("${to}/bearer/n", { method: "POST", body: "b".repeat(99), headers: { authorization: "Bearer cordon_ph_key" } }); console.log(r.status, (await r.json()).bytes)`;
  const { out } = await run(process.execPath, ["--input-type=module", "-e", script]);
  assert.match(out, /^200 99$/m);
  assert.equal(seen.at(-1)?.headers.authorization, `Bearer ${secret}`);
});

test("urllib of Python", { skip: !has("python3") }, async () => {
  const script = `import urllib.request as u; r = u.urlopen(u.Request("${to}/bearer/p", headers={"Authorization": "Bearer cordon_ph_key"})); print(r.status)`;
  const { out } = await run("python3", ["-c", script]);
  assert.match(out, /^200$/m, out);
  assert.equal(seen.at(-1)?.headers.authorization, `Bearer ${secret}`);
});

test("a WebSocket client: the placeholder in a message goes out as the credential", async () => {
  const dispatcher = new ProxyAgent({
    uri: `http://127.0.0.1:${place.proxyPort}`,
    requestTls: { ca: readFileSync(caFile, "utf8") },
  });
  const socket = new WebSocket(`${to.replace("https", "wss")}/socket`, { dispatcher });
  const said = await new Promise<string>((resolve, reject) => {
    socket.addEventListener("open", () => socket.send(`login cordon_ph_key ${"x".repeat(70_000)}`));
    socket.addEventListener("message", ({ data }) => resolve(String(data)));
    socket.addEventListener("error", () => reject(new Error("the socket failed")));
  });
  socket.close();
  await dispatcher.destroy();
  assert.equal(said, `you said login [credential removed by cordon] ${"x".repeat(70_000)}`);
});

test("a long download comes down in bounded memory", { skip: !has("curl") }, async () => {
  const bytes = Number(process.env["CORDON_DOWNLOAD_MIB"] ?? 256) * 1_048_576;
  global.gc?.();
  const before = process.memoryUsage();
  let peak = 0;
  const watch = setInterval(() => {
    const { external, heapUsed } = process.memoryUsage();
    peak = Math.max(peak, external + heapUsed - before.external - before.heapUsed);
  }, 20);
  const { out, code } = await run("curl", [
    "-sS",
    "--http1.1",
    "-o",
    "/dev/null",
    "-w",
    "%{size_download}",
    "--limit-rate",
    "2G",
    `${to}/big?${bytes}`,
  ]);
  clearInterval(watch);
  assert.deepEqual([code, out], [0, String(bytes)]);
  // Server, gateway and the garbage of both are in this one process: what is held must not grow with the download.
  assert.ok(peak < 96 * 1_048_576, `${Math.round(peak / 1_048_576)} MiB at most`);
});
