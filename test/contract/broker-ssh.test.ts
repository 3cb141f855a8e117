/** Git as people have it, unchanged, through the broker: it knows a place and a program to call, and no key. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { readHostKey } from "../../mesh/egress/brokers/ssh/host-key.ts";
import type { RepositorySetting } from "../../mesh/egress/brokers/ssh/setting.ts";
import { hasSshd, startGitServer, type GitServer } from "../fleet/git-server.ts";
import { callDoor, startRepositoryPlace, type RepositoryPlace } from "../fleet/repository-place.ts";
import { eventually } from "../fleet/running-mesh.ts";

const skip = !hasSshd && "no sshd and git are installed";
let folder: string;
let server: GitServer;
let place: RepositoryPlace;
let count = 0;

const settingOf = (more: Partial<RepositorySetting> = {}): RepositorySetting => {
  const pin = readHostKey(server.fingerprint, { host: "git.test", port: server.port });
  assert.ok(pin.ok);
  return {
    ...{ name: "site", host: "git.test", port: server.port, user: server.user, path: server.path("site") },
    ...{ address: "127.0.0.1", hostKeys: [pin.value], key: "deploy", passphrase: null },
    push: { refs: ["refs/heads/agent/**"], mayDelete: false, mayForce: false },
    ...more,
  };
};

before(async () => {
  if (skip) return;
  folder = mkdtempSync(join(tmpdir(), "cordon-broker-"));
  server = await startGitServer(["site", "open", "other"]);
  place = await startRepositoryPlace(
    [
      settingOf(),
      settingOf({
        name: "open",
        path: server.path("open"),
        push: { refs: ["refs/**"], mayDelete: true, mayForce: true },
      }),
    ],
    { deploy: server.key },
  );
});

after(async () => {
  if (skip) return;
  await place.close();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly out: string;
}

function git(
  words: readonly string[],
  at: RepositoryPlace = place,
  more: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = spawn("git", words, {
    env: {
      ...{ PATH: process.env["PATH"] ?? "", HOME: folder, GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" },
      ...{ GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@test", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@test" },
      ...at.environment,
      ...more,
    },
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (out += piece.toString()));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, out })));
}

const urlOf = (name: string): string => `ssh://${server.user}@git.test:${server.port}${server.path(name)}`;

async function cloned(name = "site", at: RepositoryPlace = place): Promise<string> {
  const work = join(folder, `work-${++count}`);
  const { code, out } = await git(["clone", "-q", urlOf(name), work], at);
  assert.equal(code, 0, out);
  return work;
}

async function committed(work: string, text: string, file = "README.md"): Promise<void> {
  writeFileSync(join(work, file), text);
  assert.equal((await git(["-C", work, "add", "."])).code, 0);
  assert.equal((await git(["-C", work, "commit", "-q", "-m", text.slice(0, 40)])).code, 0);
}

test("git clones, fetches and pushes with no key, in each version of its protocol", { skip }, async () => {
  for (const version of ["0", "1", "2"]) {
    const work = join(folder, `version-${version}`);
    const config = ["-c", `protocol.version=${version}`];
    const { code, out } = await git([...config, "clone", "-q", urlOf("site"), work]);
    assert.equal(code, 0, out);
    assert.equal(readFileSync(join(work, "README.md"), "utf8"), "this is site\n");
    await committed(work, `version ${version}\n`);
    const pushed = await git([...config, "-C", work, "push", "origin", `HEAD:agent/v${version}`]);
    assert.equal(pushed.code, 0, pushed.out);
    assert.equal((await git([...config, "-C", work, "fetch", "origin"])).code, 0);
    assert.equal(server.git("site", "log", "-1", "--format=%s", `agent/v${version}`), `version ${version}`);
  }
});

const refusedLast = (): string => {
  const { detail } =
    place.records.findLast(({ kind, detail: { allow } }) => kind === "decision" && allow === false) ?? {};
  return JSON.stringify([detail?.["code"], detail?.["reason"]]);
};

test("a push of what may not be pushed does not reach the server, and is in the audit", { skip }, async () => {
  const work = await cloned();
  await committed(work, "mine\n");
  const before = server.git("site", "for-each-ref");
  const refused: readonly (readonly [words: readonly string[], told: RegExp])[] = [
    [["push", "origin", "HEAD:main"], /`refs\/heads\/main` is not a ref that may be pushed/],
    [["push", "-f", "origin", "HEAD:main"], /`refs\/heads\/main` is not a ref that may be pushed/],
    [["push", "origin", "HEAD:agent/ok", "HEAD:main"], /`refs\/heads\/main` is not a ref/],
    [["push", "origin", "HEAD:refs/for/main"], /`refs\/for\/main` is not a ref/],
    [["push", "origin", ":main"], /`refs\/heads\/main` is not a ref/],
    [["push", "-o", "merge_request.create", "origin", "HEAD:agent/ok"], /options of a push are not carried/],
  ];
  for (const [words, told] of refused) {
    const { code, out } = await git(["-C", work, ...words]);
    assert.notEqual(code, 0, out);
    assert.match(out, told, words.join(" "));
    assert.match(refusedLast(), told);
  }
  assert.equal(server.git("site", "for-each-ref"), before);
});

test(
  "a branch of the agent's own is moved forward only, and deleted only where the file says so",
  { skip },
  async () => {
    const work = await cloned();
    const push = (...words: readonly string[]): Promise<Ended> => git(["-C", work, "push", ...words]);
    await committed(work, "one\n");
    assert.equal((await push("origin", "HEAD:agent/x")).code, 0);
    for (let i = 0; i < 6; i++) await committed(work, `a message that is long enough to be worth a delta ${i}\n`);
    const forward = await push("origin", "HEAD:agent/x");
    assert.equal(forward.code, 0, forward.out);
    const there = server.git("site", "rev-parse", "agent/x");
    assert.equal((await git(["-C", work, "reset", "-q", "--hard", "HEAD~3"])).code, 0);
    await committed(work, "another past\n");
    const forced = await push("-f", "origin", "HEAD:agent/x");
    assert.notEqual(forced.code, 0);
    assert.match(forced.out, /`refs\/heads\/agent\/x` is not seen to follow from what it was/);
    assert.match(refusedLast(), /^\["denied",".*not seen to follow/);
    const deleted = await push("origin", ":agent/x");
    assert.match(deleted.out, /`refs\/heads\/agent\/x` may not be deleted/);
    assert.equal(server.git("site", "rev-parse", "agent/x"), there);
  },
);

test("where the file says so, git forces, deletes and pushes any ref", { skip }, async () => {
  const work = await cloned("open");
  const push = (...words: readonly string[]): Promise<Ended> => git(["-C", work, "push", "origin", ...words]);
  await committed(work, "one\n");
  assert.equal((await push("HEAD:agent/x", "HEAD:refs/notes/x")).code, 0);
  assert.equal((await git(["-C", work, "commit", "-q", "--amend", "-m", "other"])).code, 0);
  assert.equal((await push("-f", "HEAD:agent/x")).code, 0);
  assert.equal(server.git("open", "log", "-1", "--format=%s", "agent/x"), "other");
  const { code, out } = await push(":agent/x");
  assert.equal(code, 0, out);
  assert.throws(() => server.git("open", "rev-parse", "agent/x"));
});

test("more than is held at once, both ways", { skip }, async () => {
  const work = await cloned();
  const bytes = Buffer.alloc(6 * 1024 * 1024);
  for (let i = 0, x = 1; i < bytes.length; i++) bytes[i] = (x = (x * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16;
  writeFileSync(join(work, "big"), bytes);
  await committed(work, "big\n");
  const { code, out } = await git(["-C", work, "push", "origin", "HEAD:agent/big"]);
  assert.equal(code, 0, out);
  const again = join(folder, "again");
  assert.equal((await git(["clone", "-q", "-b", "agent/big", urlOf("site"), again])).code, 0);
  assert.ok(readFileSync(join(again, "big")).equals(bytes));
});

test(
  "the audit holds each session before it is made, the refs that were pushed, and no letter of the key",
  { skip },
  async () => {
    const from = place.records.length;
    const work = await cloned();
    await committed(work, "told\n");
    assert.equal((await git(["-C", work, "push", "origin", "HEAD:agent/told"])).code, 0);
    const own = await eventually("the ends of the sessions", async () => {
      const records = place.records.slice(from).filter(({ kind }) => kind !== "git.more");
      return records.filter(({ kind }) => kind === "git.closed").length >= 2 ? records : undefined;
    });
    assert.deepEqual(
      own.map(({ kind }) => kind),
      ["git.fetch", "git.closed", "git.push", "git.pushed", "git.closed"],
    );
    assert.match(JSON.stringify(own[3]?.detail["refs"]), /^\["create refs\/heads\/agent\/told [0-9a-f]{40}"\]$/);
    assert.equal(own[4]?.detail["code"], 0);
    const text = JSON.stringify(place.records);
    for (const line of server.key.split("\n").filter((each) => each.length > 40))
      assert.equal(text.includes(line), false);
  },
);

const servers: readonly (readonly [what: string, more: Partial<RepositorySetting>, told: RegExp])[] = [
  [
    "a host key that is not pinned",
    { hostKeys: [{ sha256: "A".repeat(43), type: null }] },
    /no connection to `site`: the server shows a host key that is not pinned/,
  ],
  [
    "a pinned key of a kind that it has not",
    { hostKeys: [{ sha256: "A".repeat(43), type: "ssh-rsa" }] },
    /no algorithms in common/,
  ],
  ["another user", { user: "nobody-here" }, /the server does not take the key/],
  ["a key that is not there", { key: "none" }, /there is no credential `none`/],
  ["a passphrase that is not there", { key: "locked", passphrase: "none" }, /there is no credential `none`/],
  ["a locked key without a passphrase", { key: "locked" }, /it has a passphrase, and `passphrase` names none/],
  ["a wrong passphrase", { key: "locked", passphrase: "wrong" }, /its passphrase is another one/],
  ["what is no key", { key: "wrong" }, /it is not a private key of OpenSSH/],
  ["a private address that nobody named", { address: null, host: "localhost" }, /which is not public/],
  ["a server that is not there", { port: 1 }, /it does not answer/],
];
for (const [what, more, told] of servers)
  test(`no session: ${what}`, { skip }, async (t) => {
    const secrets = { deploy: server.key, locked: server.lockedKey, words: server.passphrase, wrong: "wrong-words" };
    const setting = settingOf(more);
    const own = await startRepositoryPlace([setting], secrets);
    t.after(() => own.close());
    const url = `ssh://${setting.user}@${setting.host}:${setting.port}${setting.path}`;
    const { code, out } = await git(["ls-remote", url], own);
    assert.notEqual(code, 0);
    assert.match(out, told);
    const refusal = own.records.findLast(({ kind }) => kind === "decision");
    assert.match(JSON.stringify(refusal?.detail["reason"]), told);
    assert.equal(JSON.stringify(own.records).includes("wrong-words") || out.includes("wrong-words"), false);
  });

test("a key with a passphrase is opened with it, and an RSA key signs with SHA-2", { skip }, async (t) => {
  const locked = await startRepositoryPlace([settingOf({ key: "locked", passphrase: "words" })], {
    locked: server.lockedKey,
    words: server.passphrase,
  });
  t.after(() => locked.close());
  assert.equal((await git(["ls-remote", urlOf("site")], locked)).code, 0);
  const rsa = await startGitServer(["site"], { keyType: "rsa" });
  t.after(() => rsa.stop());
  const pin = readHostKey(`[git.test]:${rsa.port} ${rsa.hostKey}`, { host: "git.test", port: rsa.port });
  assert.ok(pin.ok);
  const setting = settingOf({ port: rsa.port, path: rsa.path("site"), hostKeys: [pin.value] });
  const at = await startRepositoryPlace([setting], { deploy: rsa.key });
  t.after(() => at.close());
  const { code, out } = await git(["ls-remote", `ssh://${rsa.user}@git.test:${rsa.port}${rsa.path("site")}`], at);
  assert.equal(code, 0, out);
});

test("a server that takes SHA-1 only gets no signature", { skip }, async (t) => {
  const old = await startGitServer(["site"], {
    keyType: "rsa",
    lines: ["PubkeyAcceptedAlgorithms ssh-rsa", "RequiredRSASize 1024"],
  });
  t.after(() => old.stop());
  const pin = readHostKey(old.fingerprint, { host: "git.test", port: old.port });
  assert.ok(pin.ok);
  const setting = settingOf({ port: old.port, path: old.path("site"), hostKeys: [pin.value] });
  const at = await startRepositoryPlace([setting], { deploy: old.key });
  t.after(() => at.close());
  const { code, out } = await git(["ls-remote", `ssh://${old.user}@git.test:${old.port}${old.path("site")}`], at);
  assert.notEqual(code, 0);
  assert.match(out, /no connection to `site`/);
  assert.equal(/Accepted publickey/.test(old.log()), false);
});

test("a server that says nothing is left", { skip }, async (t) => {
  const silent = createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  t.after(() => silent.close());
  const { port } = silent.address() as AddressInfo;
  const at = await startRepositoryPlace([settingOf({ port })], { deploy: server.key }, { connectMs: 300 });
  t.after(() => at.close());
  const { code, out } = await git(["ls-remote", `ssh://${server.user}@git.test:${port}${server.path("site")}`], at);
  assert.notEqual(code, 0);
  assert.match(out, /the server takes too long to begin/);
});

test("a session in which nothing moves is cut, and so is that of a halted agent", { skip }, async (t) => {
  const at = await startRepositoryPlace([settingOf()], { deploy: server.key }, { stallMs: 500 });
  t.after(() => at.close());
  const words = ["-p", String(server.port), `${server.user}@git.test`, `git-upload-pack '${server.path("site")}'`];
  // The server waits for what is wanted, and nobody says it.
  const quiet = await callDoor(at, words);
  assert.match(quiet, /cordon: nothing has moved for/);
  await eventually("the evidence", async () =>
    at.records.find(({ kind, detail }) => kind === "git.closed" && /nothing has moved/.test(JSON.stringify(detail))),
  );
  at.halt();
  assert.match((await git(["ls-remote", urlOf("site")], at)).out, /the agent is halted/);
});

test("a credential that is rotated or revoked is used by no further session", { skip }, async (t) => {
  const at = await startRepositoryPlace([settingOf()], { deploy: server.key });
  t.after(() => at.close());
  assert.equal((await git(["ls-remote", urlOf("site")], at)).code, 0);
  at.secrets.set("deploy", server.strangeKey);
  assert.match((await git(["ls-remote", urlOf("site")], at)).out, /the server does not take the key/);
  at.secrets.set("deploy", server.key);
  assert.equal((await git(["ls-remote", urlOf("site")], at)).code, 0);
  at.secrets.delete("deploy");
  assert.match((await git(["ls-remote", urlOf("site")], at)).out, /there is no credential `deploy`/);
});
