/** Hostile code in a real sandbox at a real server of git: it calls the door itself, and not as git does. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { guestRuntime } from "../../../protocol/sandbox-paths.ts";
import { makeGitRoot } from "../../fleet/git-root.ts";
import { hasSshd, startGitServer, type GitServer } from "../../fleet/git-server.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { filesHolding, memoryHolding, sandboxProcesses } from "../../fleet/search.ts";

const skip = !hasSshd && "no sshd and git are installed";

/** What hostile code tries; the server and its paths are put in by the test. */
const attacker = (host: string, port: number, user: string, paths: Readonly<Record<string, string>>): string => `
import net from "node:net";
import fs from "node:fs";
import { spawn, spawnSync } from "node:child_process";
import { tell } from "./prelude.mjs";
const [HOST, PORT, USER, PATHS] = ${JSON.stringify([host, String(port), user, paths])};
const ID = "a".repeat(40), NONE = "0".repeat(40);
const pkt = (text) => { const body = Buffer.from(text, "latin1"); return Buffer.concat([Buffer.from((body.length + 4).toString(16).padStart(4, "0")), body]); };
const OPEN = "GET /v1/repositories HTTP/1.1\\r\\nhost: door\\r\\nconnection: upgrade\\r\\nupgrade: git\\r\\n\\r\\n";
// Says \`first\` at once, and \`then\` when the server has told its refs; resolves with what came, without what cannot be printed.
const session = (first, then) => new Promise((resolve) => {
  const socket = net.connect({ path: "/run/cordon/door.sock", allowHalfOpen: true });
  let seen = Buffer.alloc(0), said = false;
  const timer = setTimeout(() => socket.destroy(), 20000);
  socket.on("data", (piece) => {
    seen = Buffer.concat([seen, piece]);
    if (then !== undefined && !said && seen.includes("0000", seen.indexOf("\\r\\n\\r\\n") + 40)) { said = true; socket.end(then); }
  });
  socket.on("error", () => {}).on("close", () => { clearTimeout(timer); resolve(seen.toString("latin1").replace(/[^ -~]/g, " ").slice(-600)); });
  socket.on("end", () => socket.destroy());
  socket.write(first);
});
const call = (words, protocol = null) => OPEN + JSON.stringify({ words, protocol }) + "\\n";
const at = (command, ...options) => call([...options, "-p", PORT, USER + "@" + HOST, command]);
const attempt = async (name, first, then) => tell("result", { name, answer: await session(first, then) });
const site = "git-upload-pack '" + PATHS.site + "'";
const calls = {
  "an unlisted repository": at("git-upload-pack '" + PATHS.unlisted + "'"),
  "a repository of another agent": at("git-upload-pack '" + PATHS.private + "'"),
  "a push to what is read only": at("git-receive-pack '" + PATHS.readonly + "'"),
  "an archive": at("git-upload-archive '" + PATHS.site + "'"),
  "another program": at("cat '" + PATHS.site + "/HEAD'"),
  "a command behind it": at(site + "; id"),
  "a command in the quotes": at("git-upload-pack '" + PATHS.site + "'; id; echo ''"),
  "a command in its path": at("git-upload-pack '$(id)'"),
  "a path upwards": at("git-upload-pack '" + PATHS.site + "/../private.git'"),
  "a path with a quote": at("git-upload-pack '" + PATHS.site + "'\\\\''x'"),
  "a path with NUL": at("git-upload-pack '" + PATHS.site + "\\0'"),
  "a path with a line end": at("git-upload-pack '" + PATHS.site + "\\n'"),
  "an option for a path": at("git-upload-pack '--help'"),
  "no path": at("git-upload-pack"),
  "another host": call(["-p", PORT, USER + "@127.0.0.1", site]),
  "another port": call(["-p", "1", USER + "@" + HOST, site]),
  "another user": call(["-p", PORT, "nobody@" + HOST, site]),
  "a host that is an option": call(["-p", PORT, "x@-oProxyCommand=id", site]),
  "a shell": call(["-p", PORT, USER + "@" + HOST]),
  "a command of several words": call(["-p", PORT, USER + "@" + HOST, "git-upload-pack", PATHS.site]),
  "sftp": call(["-p", PORT, "-s", USER + "@" + HOST, "sftp"]),
  "a terminal": at(site, "-tt"),
  "an agent": at(site, "-A"),
  "X11": at(site, "-X"),
  "a port inwards": at(site, "-R", "8080:localhost:80"),
  "a port outwards": at(site, "-L8080:169.254.169.254:80"),
  "a stream": at(site, "-W", "127.0.0.1:22"),
  "a proxy command": at(site, "-o", "ProxyCommand=id"),
  "an environment": at(site, "-o", "SendEnv=LD_PRELOAD"),
  "a version with a tail": call(["-p", PORT, USER + "@" + HOST, site], "version=2:x=y"),
  "words that are none": OPEN + JSON.stringify({ words: [{}], protocol: null }) + "\\n",
  "words and more": OPEN + JSON.stringify({ words: [site], protocol: null, env: { A: "b" } }) + "\\n",
  "no JSON": OPEN + "git-upload-pack\\n",
  "a line of a megabyte": OPEN + "x".repeat(1 << 20),
};
for (const [name, first] of Object.entries(calls)) await attempt(name, first);
const push = at("git-receive-pack '" + PATHS.site + "'");
const CAPS = "\\0 report-status";
const pushes = {
  "main": [pkt(NONE + " " + ID + " refs/heads/main" + CAPS)],
  "a second ref behind a good one": [pkt(NONE + " " + ID + " refs/heads/agent/x" + CAPS), pkt(NONE + " " + ID + " refs/heads/main")],
  "a ref upwards": [pkt(NONE + " " + ID + " refs/heads/agent/../main" + CAPS)],
  "a ref with a line end": [pkt(NONE + " " + ID + " refs/heads/agent/x\\nrefs/heads/main" + CAPS)],
  "a ref twice": [pkt(NONE + " " + ID + " refs/heads/agent/x" + CAPS), pkt(ID + " " + NONE + " refs/heads/agent/x")],
  "capabilities in the second line": [pkt(NONE + " " + ID + " refs/heads/agent/x" + CAPS), pkt(NONE + " " + ID + " refs/heads/agent/y\\0 push-options")],
  "options": [pkt(NONE + " " + ID + " refs/heads/agent/x\\0 report-status push-options")],
  "an unknown capability": [pkt(NONE + " " + ID + " refs/heads/agent/x\\0 do-more")],
  "a certificate": [pkt("push-cert\\0 report-status")],
  "a deletion": [pkt(ID + " " + NONE + " refs/heads/agent/x" + CAPS)],
  "a length of one": [Buffer.from("0001")],
  "a length that is none": [Buffer.from("zzzz")],
  "a length of 65535": [Buffer.from("ffff")],
  "a thousand refs": Array.from({ length: 1000 }, (_, i) => pkt(NONE + " " + ID + " refs/heads/agent/" + i + (i ? "" : CAPS))),
  "a pack that claims a past": [pkt("b".repeat(40) + " " + ID + " refs/heads/agent/x" + CAPS), Buffer.from("0000"), Buffer.from("PACK"), Buffer.of(0, 0, 0, 2, 0, 0, 0, 0), Buffer.alloc(20)],
  "no pack": [pkt("b".repeat(40) + " " + ID + " refs/heads/agent/x" + CAPS), Buffer.from("0000"), Buffer.from("no pack at all, and long enough for one")],
};
for (const [name, parts] of Object.entries(pushes)) await attempt("push: " + name, push, Buffer.concat([...parts, Buffer.from("0000")]));

// Git as it is.
const env = { ...process.env, HOME: "/tmp", GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@t", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@t" };
const git = (...words) => { const done = spawnSync("git", words, { env, encoding: "utf8" }); return [done.status, (done.stdout + done.stderr).slice(-800)]; };
const url = "ssh://" + USER + "@" + HOST + ":" + PORT + PATHS.site;
const steps = { clone: git("clone", "-q", url, "/tmp/site") };
fs.writeFileSync("/tmp/site/new", "new\\n");
git("-C", "/tmp/site", "add", ".");
git("-C", "/tmp/site", "commit", "-q", "-m", "new");
steps.push = git("-C", "/tmp/site", "push", "-q", "origin", "HEAD:agent/x");
steps.main = git("-C", "/tmp/site", "push", "-q", "origin", "HEAD:main");
git("-C", "/tmp/site", "commit", "-q", "--amend", "-m", "another");
steps.force = git("-C", "/tmp/site", "push", "-q", "-f", "origin", "HEAD:agent/x");
steps.ssh = (() => { const done = spawnSync("/bin/sh", ["-c", process.env.GIT_SSH_COMMAND + " " + USER + "@" + HOST], { env, encoding: "utf8" }); return [done.status, done.stderr]; })();
tell("git", steps);

const open = await Promise.all(Array.from({ length: 40 }, () => session(at(site), "0000")));
tell("result", { name: "forty sessions at once", answer: String(open.filter((each) => each.includes("too many sessions")).length) });

// What is in reach.
const pieces = [JSON.stringify(process.env)];
const walk = (folder, depth) => {
  let names = [];
  try { names = fs.readdirSync(folder); } catch { return; }
  for (const name of names) {
    const path = folder + "/" + name;
    try {
      const stat = fs.statSync(path);
      if (stat.isDirectory() && depth > 0) walk(path, depth - 1);
      else if (stat.isFile() && stat.size < 2e6) pieces.push(fs.readFileSync(path, "latin1"));
    } catch {}
  }
};
for (const folder of ["/tmp", "/data", "/run", "/code", "/etc", "/opt/cordon/agent"]) walk(folder, 4);
tell("hunt", { read: pieces.length, keys: pieces.filter((text) => text.includes("OPENSSH PRIVATE" + " KEY-----\\n") || text.includes("b3BlbnNzaC1rZX" + "ktdjEAAAA")).length });
tell("done", {});
const revoked = () => { const [code, said] = git("ls-remote", url); if (code === 0) setTimeout(revoked, 200); else tell("revoked", { said }); };
revoked();
setInterval(() => {}, 1e6);
`;

let server: GitServer;
let mesh: MeshFixture;
const closing: (() => unknown)[] = [];
let steps: Record<string, unknown> = {};
const results: Record<string, string> = {};

before(async () => {
  if (skip) return;
  server = await startGitServer(["site", "readonly", "private", "unlisted"]);
  closing.push(() => server.stop());
  const root = mkdtempSync(join(tmpdir(), "cordon-git-root-"));
  closing.push(() => rmSync(root, { recursive: true, force: true }));
  makeGitRoot(root);
  const names = ["site", "readonly", "private", "unlisted"];
  const paths = Object.fromEntries(names.map((name) => [name, server.path(name)]));
  const repository = (name: string): string =>
    `to: "ssh://${server.user}@git.test:${server.port}${server.path(name)}", address: 127.0.0.1, ` +
    `host_key: "[git.test]:${server.port} ${server.hostKey}", key: deploy, passphrase: words`;
  const { loader, libraries, node } = guestRuntime;
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: repositories
repositories:
  site: { ${repository("site")}, write: true, push: { refs: ["refs/heads/agent/**"] } }
  readonly: { ${repository("readonly")} }
  private: { ${repository("private")}, write: true }
defaults: { model: rehearsal/echo, budget: { day: { usd: 1 } } }
agents:
  thief:
    command: [${loader}, --library-path, ${libraries}, ${node}, /code/attack.mjs]
    code: code
    sandbox: { cpus: 1, rootfs: ${root} }
    may: { repositories: [site, readonly] }
  other: { command: [/bin/node, /code/idle.mjs], code: idle, may: { repositories: [private] } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/attack.mjs": attacker("git.test", server.port, server.user, paths),
    "idle/idle.mjs": "setInterval(() => {}, 1e6);\n",
  });
  closing.push(() => mesh.stop());
  await mesh.desk.addCredential("deploy", Buffer.from(server.lockedKey));
  await mesh.desk.addCredential("words", Buffer.from(server.passphrase));
  await mesh.restart("thief");
  await eventually("the attacks", async () => (await printed(mesh, "thief", "done")).at(-1), 180_000);
  for (const { name, answer } of await printed(mesh, "thief", "result")) results[String(name)] = String(answer);
  steps = (await printed(mesh, "thief", "git")).at(-1) ?? {};
});

after(async () => {
  for (const close of closing.toReversed()) await close();
});

const REFUSED: Readonly<Record<string, RegExp>> = {
  "an unlisted repository": /is not a repository of this agent/,
  "a repository of another agent": /is not a repository of this agent/,
  "a push to what is read only": /`readonly` is read only/,
  "an archive": /`git-upload-archive` is not run there/,
  "another program": /`cat` is not run there/,
  "a command behind it": /is not a path that is carried/,
  "a command in the quotes": /is not a path that is carried/,
  "a command in its path": /is not a path that is carried/,
  "a path upwards": /is not a path that is carried/,
  "a path with a quote": /is not a path that is carried/,
  "a path with NUL": /is not a path that is carried/,
  "a path with a line end": /is not a path that is carried/,
  "an option for a path": /is not a path that is carried/,
  "no path": /is not a path that is carried/,
  "another host": /is not a repository of this agent/,
  "another port": /is not a repository of this agent/,
  "another user": /is not a repository of this agent/,
  "a host that is an option": /is not a host/,
  "a shell": /a shell is not carried/,
  "a command of several words": /a command of several words is not carried/,
  sftp: /a subsystem is not carried/,
  "a terminal": /a terminal is not carried/,
  "an agent": /forwarding of an agent is not carried/,
  X11: /forwarding of X11 is not carried/,
  "a port inwards": /forwarding of a port is not carried/,
  "a port outwards": /forwarding of a port is not carried/,
  "a stream": /forwarding is not carried/,
  "a proxy command": /the option `-o ProxyCommand=id` is not taken/,
  "an environment": /the option `-o SendEnv=LD_PRELOAD` is not taken/,
  "a version with a tail": /`GIT_PROTOCOL=version=2:x=y` is not passed on/,
  "words that are none": /not a call of `ssh`/,
  "words and more": /not a call of `ssh`/,
  "no JSON": /the first line is not JSON/,
  "a line of a megabyte": /the first line is longer than/,
  "push: main": /`refs\/heads\/main` is not a ref that may be pushed/,
  "push: a second ref behind a good one": /`refs\/heads\/main` is not a ref that may be pushed/,
  "push: a ref upwards": /a command of the push is not one/,
  "push: a ref with a line end": /a command of the push is not one/,
  "push: a ref twice": /a ref is named twice/,
  "push: capabilities in the second line": /capabilities stand behind the first command only/,
  "push: options": /options of a push are not carried/,
  "push: an unknown capability": /the capability `do-more` is not carried/,
  "push: a certificate": /a signed push is not carried/,
  "push: a deletion": /`refs\/heads\/agent\/x` may not be deleted/,
  "push: a length of one": /has no length that is one/,
  "push: a length that is none": /has no length that is one/,
  "push: a length of 65535": /has no length that is one/,
  "push: a thousand refs": /the push names too many refs/,
  "push: a pack that claims a past": /is not seen to follow from what it was/,
  "push: no pack": /what is pushed is not a pack/,
};

test(
  "whatever is not git's own call for a listed repository is refused with its reason, which is in the audit",
  { skip },
  async () => {
    const { records } = await mesh.desk.audit(0, 1_000);
    const reasons = records.map((record) => JSON.stringify(record).replaceAll("\\\\", "\\"));
    for (const [name, told] of Object.entries(REFUSED)) {
      assert.match(results[name] ?? "", told, name);
      assert.ok(
        reasons.some((each) => told.test(each)),
        `no record of ${name}`,
      );
    }
    await mesh.desk.verifyAudit();
  },
);

test("nothing that was refused has reached the server", { skip }, () => {
  assert.equal(server.git("site", "for-each-ref", "--format=%(refname)"), "refs/heads/agent/x\nrefs/heads/main");
  assert.equal(server.git("site", "log", "-1", "--format=%s", "agent/x"), "new");
  for (const name of ["readonly", "private", "unlisted"])
    assert.equal(server.git(name, "for-each-ref", "--format=%(refname)"), "refs/heads/main");
  assert.equal(/Starting session: (?!forced-command|command)/.test(server.log()), false, server.log());
});

test("git as it is clones and pushes what it may", { skip }, () => {
  assert.deepEqual(steps["clone"], [0, ""]);
  assert.deepEqual(steps["push"], [0, ""]);
  assert.match(String(steps["main"]), /`refs\/heads\/main` is not a ref that may be pushed/);
  assert.match(String(steps["force"]), /`refs\/heads\/agent\/x` is not seen to follow/);
  assert.match(String(steps["ssh"]), /^128,cordon: a shell is not carried/);
  assert.ok(Number(results["forty sessions at once"]) >= 8, JSON.stringify(results));
});

test("the key is nowhere but in the vault, and whoever revokes it ends its use", { skip }, async () => {
  const [hunt] = await printed(mesh, "thief", "hunt");
  assert.ok(Number(hunt?.["read"]) > 20, JSON.stringify(hunt));
  assert.equal(hunt?.["keys"], 0);
  // The line that holds the private number itself.
  const canaries = [server.passphrase, ...[server.key, server.lockedKey].map((key) => key.split("\n")[4] ?? "")];
  assert.ok(canaries.every((canary) => canary.length >= 8));
  const told = JSON.stringify([results, steps, await mesh.desk.audit(0, 1_000), await mesh.desk.events(0, 0)]);
  for (const canary of canaries) {
    assert.equal(told.includes(canary), false);
    assert.equal(mesh.errors().includes(canary), false);
    assert.deepEqual(filesHolding(mesh.state, canary), []);
    for (const pid of sandboxProcesses(mesh.installation)) assert.equal(memoryHolding(pid, canary), false);
  }
  await mesh.desk.revokeCredential("deploy");
  const [revoked] = await eventually("the end of its use", async () => {
    const found = await printed(mesh, "thief", "revoked");
    return found.length > 0 ? found : undefined;
  });
  assert.match(String(revoked?.["said"]), /there is no credential `deploy`|too many sessions/);
});
