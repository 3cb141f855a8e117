/**
 * Clients as Debian has them, unchanged, inside a real sandbox: they know what PID 1 has set and placeholders. The official
 * SDKs of model providers are in test/sdk, Node's `fetch` in our own root file system in test/guests/web.test.ts.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { lookup } from "node:dns/promises";
import {
  chmodSync,
  cpSync,
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
} from "node:fs";
import { rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { guestRuntime } from "../../protocol/sandbox-paths.ts";
import { hasDebian, makeDebianRoot } from "../fleet/debian-root.ts";
import { startDatabase, type DatabaseServer } from "../fleet/database-server.ts";
import { eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";
import { OutsideAuthority, startOutside, type Outside } from "../fleet/web-place.ts";
import { answerWebSockets } from "../fleet/web-socket-server.ts";

const absent = ["curl", "git", "python3"].find((program) => !existsSync(join("/usr/bin", program)));
const skip =
  !hasDebian() || process.getuid?.() !== 0
    ? "the root file system is made of Debian's packages, as root"
    : absent !== undefined && `${absent} is not installed`;
const secret = `canary-${randomBytes(12).toString("hex")}`;
const authority = new OutsideAuthority();
const ph = "cordon_ph_key";
const POSTGRES = "/usr/lib/postgresql";
/** Undefined: no server of it is installed. */
const postgresVersion = (existsSync(POSTGRES) ? readdirSync(POSTGRES) : [])
  .toSorted()
  .findLast((version) => existsSync(join(POSTGRES, version, "bin/postgres")));

/** Where npm stands and from where it installs; a string says why there is none. */
interface Registry {
  readonly folder: string;
  readonly url: URL;
  readonly address: string;
}

async function registryOf(): Promise<Registry | string> {
  const program = (process.env["PATH"] ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "npm"))
    .find((each) => existsSync(each));
  if (program === undefined) return "npm is not installed";
  const said = execFileSync(program, ["config", "get", "registry"], { stdio: ["ignore", "pipe", "ignore"] })
    .toString()
    .trim();
  if (!URL.canParse(said)) return "no registry is configured";
  const url = new URL(said);
  const answers = await fetch(new URL("is-number", url)).then(
    ({ ok }) => ok,
    () => false,
  );
  if (!answers) return "the configured registry does not answer";
  // An operator's own registry may well stand at an address that is not public: its rule then says so.
  const { address } = await lookup(url.hostname, { family: 4 });
  return { folder: dirname(dirname(realpathSync(program))), url, address };
}

const driver = `
import { spawn } from "node:child_process";
import { readFileSync, writeSync } from "node:fs";
const tell = (kind, fields) => writeSync(1, JSON.stringify({ kind, ...fields }) + "\\n");
const run = ({ words: [program, ...words], env }) => new Promise((resolve) => {
  const child = spawn(program, words, { cwd: "/data", env: { ...process.env, HOME: "/data", GIT_TERMINAL_PROMPT: "0", GIT_CONFIG_NOSYSTEM: "1", ...env }, stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (out += piece));
  child.on("error", (error) => resolve({ code: -1, out: String(error) })).on("close", (code) => resolve({ code, out: out.slice(0, 4000) }));
});
for (const client of JSON.parse(readFileSync("/code/clients.json", "utf8"))) tell("client", { name: client.name, ...(await run(client)) });
tell("environment", { text: JSON.stringify(process.env) });
setInterval(() => {}, 1e6);
`;

describe("unmodified clients in a sandbox", { skip, timeout: 240_000 }, () => {
  let folder: string;
  let outside: Outside;
  let database: DatabaseServer | undefined;
  let registry: Registry | string;
  let mesh: MeshFixture;
  let withoutRequests: string | undefined;
  const authorizations = new Map<string, string>();
  const answers = new Map<string, { readonly code: number; readonly out: string }>();

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "cordon-inside-"));
    registry = await registryOf();
    outside = await startOutside(take, "api.test", authority);
    answerWebSockets(outside.server, (text, say) => {
      authorizations.set("socket", text);
      say(`you said ${text}`);
    });
    if (postgresVersion !== undefined) database = await startDatabase(authority, "reporter", secret);
    makeRepository();
    makeRoot();
    mesh = await startMesh({
      "cordon.yaml": fleet(),
      "ca.pem": authority.pem,
      "code/driver.mjs": driver,
      "code/clients.json": JSON.stringify(clients()),
    });
    await mesh.desk.addCredential("key", Buffer.from(secret));
    await mesh.restart("inside");
    await eventually("the last client", async () => (await printed(mesh, "inside", "environment"))[0], 180_000).catch(
      async (error: unknown) => {
        throw new Error(`${String(error)}; it printed:\n${(await mesh.desk.logs("inside", 100)).lines.join("\n")}`);
      },
    );
    for (const { name, code, out } of await printed(mesh, "inside", "client"))
      answers.set(String(name), { code: Number(code), out: String(out) });
  });

  after(async () => {
    await mesh?.stop();
    await outside?.close();
    await database?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  function take(request: IncomingMessage, response: ServerResponse): void {
    const path = (request.url ?? "").split("?")[0] ?? "";
    authorizations.set(path.split("/")[2] ?? "", request.headers.authorization ?? "");
    if (path.startsWith("/repo.git/")) return sendFile(path, request, response);
    request.resume().on("end", () => response.end(`got ${request.headers.authorization} by ${request.method}`));
  }

  /** A bare repository by plain files (`git update-server-info`), and it wants a password. */
  function sendFile(path: string, request: IncomingMessage, response: ServerResponse): void {
    const password = Buffer.from((request.headers.authorization ?? "").slice("Basic ".length), "base64").toString();
    if (password !== `x:${secret}`) return void response.writeHead(401, { "www-authenticate": "Basic" }).end();
    authorizations.set("git", password);
    const file = join(folder, path);
    if (!existsSync(file)) return void response.writeHead(404).end();
    createReadStream(file).pipe(response.writeHead(200));
  }

  function makeRepository(): void {
    const quiet = { stdio: "pipe" } as const;
    const work = join(folder, "work");
    const git = (...words: string[]) =>
      execFileSync("git", ["-C", work, "-c", "user.name=t", "-c", "user.email=t@t", ...words], quiet);
    mkdirSync(work);
    git("init", "-q", "-b", "main");
    writeFileSync(join(work, "file"), "inside the repository\n");
    git("add", "file");
    git("commit", "-q", "-m", "first");
    execFileSync("git", ["clone", "-q", "--bare", work, join(folder, "repo.git")], quiet);
    execFileSync("git", ["-C", join(folder, "repo.git"), "update-server-info"], quiet);
  }

  function makeRoot(): void {
    const root = join(folder, "root");
    const client = postgresVersion === undefined ? [] : [`postgresql-client-${postgresVersion}`];
    const usual = ["dash", "coreutils", "curl", "git", "python3", ...client];
    try {
      makeDebianRoot(root, [...usual, "python3-requests"]);
    } catch {
      // Few machines have it, and not each has an archive to fetch it from.
      rmSync(root, { recursive: true, force: true });
      withoutRequests = "python3-requests is not installed, and no archive gives it";
      makeDebianRoot(root, usual);
    }
    const { loader, libraries, node } = guestRuntime;
    writeFileSync(join(root, "usr/bin/node"), `#!/bin/sh\nexec ${loader} --library-path ${libraries} ${node} "$@"\n`);
    chmodSync(join(root, "usr/bin/node"), 0o755);
    if (typeof registry !== "string") cpSync(registry.folder, join(root, "usr/lib/npm"), { recursive: true });
  }

  function fleet(): string {
    const to = `https://api.test:${outside.port}`;
    const reach = [
      { to, address: "127.0.0.1" },
      ...(typeof registry === "string"
        ? []
        : [{ to: registry.url.origin, methods: ["GET", "HEAD"], address: registry.address }]),
    ];
    const databases = database && {
      shop: {
        to: `db.test:${database.port}`,
        address: "127.0.0.1",
        database: "shop",
        role: "reporter",
        credential: "key",
        ca: "ca.pem",
      },
    };
    return JSON.stringify({
      version: 1,
      fleet: "inside",
      web: { ca: "ca.pem" },
      bindings: {
        key: [
          { to, paths: ["/bearer/**"], in: { header: "authorization" }, require: true },
          { to, paths: ["/repo.git/**"], in: "basic", require: true },
          { to, paths: ["/socket"], in: "websocket", require: true },
        ],
      },
      ...(databases && { databases }),
      agents: {
        inside: {
          model: "rehearsal/echo",
          command: [
            guestRuntime.loader,
            "--library-path",
            guestRuntime.libraries,
            guestRuntime.node,
            "/code/driver.mjs",
          ],
          code: "code",
          sandbox: { cpus: 2, memory: "768MiB", rootfs: join(folder, "root") },
          may: { use: ["key"], reach, ...(databases && { databases: ["shop"] }) },
        },
      },
    });
  }

  function clients(): readonly { readonly name: string; readonly words: readonly string[]; readonly env?: object }[] {
    const to = `https://api.test:${outside.port}`;
    const python = (name: string, code: string) => ({ name, words: ["python3", "-c", code] });
    const node = (name: string, code: string) => ({ name, words: ["node", "--input-type=module", "-e", code] });
    const headers = `{"Authorization": "Bearer ${ph}"}`;
    const all = [
      { name: "curl", words: ["curl", "-sS", "-H", `Authorization: Bearer ${ph}`, `${to}/bearer/curl`] },
      { name: "refused", words: ["curl", "-sS", "-i", "https://elsewhere.test/"] },
      { name: "git", words: ["git", "clone", "-q", `${to.replace("//", `//x:${ph}@`)}/repo.git`, "cloned"] },
      { name: "cloned", words: ["cat", "cloned/file"] },
      python(
        "urllib",
        `import urllib.request as u; print(u.urlopen(u.Request("${to}/bearer/urllib", headers=${headers})).read().decode())`,
      ),
      python(
        "requests",
        `import requests; r = requests.post("${to}/bearer/requests", data="x" * 100000, headers=${headers}); print(r.status_code, r.text)`,
      ),
      node(
        "fetch",
        `const r = await fetch("${to}/bearer/fetch", { method: "POST", body: "b", headers: ${headers} }); console.log(await r.text())`,
      ),
      node(
        "websocket",
        `const s = new WebSocket("${to.replace("https", "wss")}/socket"); s.onopen = () => s.send("login ${ph}"); s.onmessage = ({ data }) => { console.log(data); s.close(); }; s.onerror = (e) => console.log("failed", e.message)`,
      ),
      {
        name: "psql",
        words: [`/usr/lib/postgresql/${postgresVersion}/bin/psql`, "-XAtc", "SELECT current_user, current_database()"],
      },
    ];
    if (typeof registry === "string") return all;
    const install = [
      "install",
      "--ignore-scripts",
      "--no-audit",
      "--no-fund",
      "--prefix",
      "/data/npm",
      "--cache",
      "/data/cache",
      "is-number@7.0.0",
    ];
    const env = { npm_config_registry: registry.url.href, npm_config_update_notifier: "false" };
    return [
      ...all,
      { name: "npm", words: ["node", "/usr/lib/npm/bin/npm-cli.js", ...install], env },
      { name: "installed", words: ["cat", "npm/node_modules/is-number/package.json"] },
    ];
  }

  const answerOf = (name: string): string => {
    const { code, out } = answers.get(name) ?? { code: -1, out: "it did not run" };
    assert.equal(code, 0, `${name}: ${out}`);
    return out;
  };

  for (const name of ["curl", "urllib", "requests", "fetch"]) {
    test(`${name}: the credential goes out, and comes back in no answer`, (context: TestContext) => {
      if (name === "requests" && withoutRequests !== undefined) return context.skip(withoutRequests);
      assert.match(answerOf(name), /got Bearer \[credential removed by cordon\] by (?:GET|POST)/);
      assert.equal(authorizations.get(name), `Bearer ${secret}`);
    });
  }

  test("git clones over https with a placeholder as password", () => {
    answerOf("git");
    assert.equal(answerOf("cloned"), "inside the repository\n");
    assert.equal(authorizations.get("git"), `x:${secret}`);
  });

  test("a WebSocket of Node logs in with a placeholder", () => {
    assert.equal(answerOf("websocket"), "you said login [credential removed by cordon]\n");
    assert.equal(authorizations.get("socket"), `login ${secret}`);
  });

  test("psql asks without a password", (context: TestContext) => {
    if (!database) return context.skip("no PostgreSQL is installed");
    assert.equal(answerOf("psql"), "reporter|shop\n");
  });

  test("npm installs a package from the registry that this machine uses", (context: TestContext) => {
    if (typeof registry === "string") return context.skip(registry);
    answerOf("npm");
    assert.match(answerOf("installed"), /"version": "7\.0\.0"/);
  });

  test("curl is told at CONNECT what it may not reach", () => {
    const { code, out } = answers.get("refused") ?? { code: -1, out: "" };
    assert.equal(code, 56, out);
    assert.match(out, /CONNECT tunnel failed, response 403/);
  });

  test("none of it has seen the secret", async () => {
    const { lines } = await mesh.desk.logs("inside", 2_000);
    assert.ok(lines.length > 5 && !lines.join("\n").includes(secret));
    const { records } = await mesh.desk.audit(0, 1_000);
    assert.ok(!JSON.stringify(records).includes(secret));
    assert.equal(mesh.errors(), "");
  });
});
