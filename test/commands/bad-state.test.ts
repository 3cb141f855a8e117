/** A state folder that cannot be used: it is told what to do, nothing is changed, and the mended one goes on. */
import assert from "node:assert/strict";
import { chmodSync, chownSync, cpSync, existsSync, openSync, closeSync, readdirSync, rmSync, statSync } from "node:fs";
import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

let home: Home;
let copy: string;
let books: string;

/** A state with a history: a chat, costs, a credential; ended in order, and kept aside. */
before(async () => {
  home = openHome(echoFleet("state"));
  assertDone(await home.cordon(["up", "-d"]));
  assertDone(await home.cordon(["chat", "assistant", "-m", "hello"]));
  assertDone(await home.cordon(["credential", "add", "openai"], { input: "sk-0123456789" }));
  assertDone(await home.cordon(["down"]));
  books = assertDone(await home.cordon(["costs", "--json"]));
  copy = join(home.folder, "copy");
  cpSync(home.state, copy, { recursive: true, preserveTimestamps: true });
});
after(() => home.close());

function restore(): void {
  rmSync(home.state, { recursive: true, force: true });
  cpSync(copy, home.state, { recursive: true });
  chmodSync(home.state, 0o700);
}

/** The untouched copy runs, with all that it held. */
async function assertGoesOn(): Promise<void> {
  restore();
  assert.equal(assertDone(await home.cordon(["costs", "--json"])), books);
  assert.match(assertDone(await home.cordon(["audit", "verify"])), /^intact/);
}

const inState = (name: string): string => join(home.state, name);
function overwrite(file: string, offset: number, bytes: Uint8Array): void {
  const open = openSync(file, "r+");
  writeSync(open, bytes, 0, bytes.length, offset);
  closeSync(open);
}
const noise = (length: number): Buffer => Buffer.from(Array.from({ length }, (_, n) => (n * 151 + 89) % 256));

const damages: readonly [what: string, damage: () => void, says: RegExp, fix: RegExp][] = [
  [
    "was written by a newer version",
    () => {
      const db = new DatabaseSync(inState("cordon.sqlite"));
      db.exec("PRAGMA user_version = 1000");
      db.close();
    },
    /written by a newer version: version 1000/,
    /use the version of cordon that wrote it/,
  ],
  [
    "has a database that is damaged in the middle",
    () => {
      const { size } = statSync(inState("cordon.sqlite"));
      overwrite(inState("cordon.sqlite"), Math.floor(size / 8192) * 4096, noise(size / 4));
    },
    /is damaged/,
    /put back a backup/,
  ],
  [
    "has a database that is damaged at its head",
    () => overwrite(inState("cordon.sqlite"), 0, noise(4096)),
    /is damaged or not a state of cordon/,
    /put back a backup/,
  ],
  [
    "has a database of no bytes",
    () => truncateSync(inState("cordon.sqlite")),
    /has a vault key, but its database is empty/,
    /put back a backup/,
  ],
  [
    "has lost its database",
    () => rmSync(inState("cordon.sqlite")),
    /has a vault key, but its database is empty/,
    /put back a backup/,
  ],
  ["has lost its key", () => rmSync(inState("vault.key")), /vault\.key` is missing/, /restore it from a backup/],
  ["has a key cut short", () => truncateSync(inState("vault.key"), 7), /damaged \(7 bytes, not 32\)/, /from a backup/],
  ["has a key that others can read", () => chmodSync(inState("vault.key"), 0o644), /read by others/, /chmod 600/],
  [
    "has the key of another state",
    () => writeFileSync(inState("vault.key"), noise(32), { mode: 0o600 }),
    /is not the one of this state/,
    /restore it from a backup/,
  ],
  ["can be entered by others", () => chmodSync(home.state, 0o755), /can be entered by others/, /chmod 700/],
  ["belongs to somebody else", () => chownSync(home.state, 65534, 65534), /belongs to another user/, /as its owner/],
];

for (const [what, damage, says, fix] of damages) {
  test(`a state that ${what}`, async () => {
    restore();
    damage();
    const before = readdirSync(home.state).filter((name) => !/-(wal|shm)$/.test(name));
    assertFails(await home.cordon(["up", "-d"]), says, fix);
    const after = readdirSync(home.state).filter((name) => !/-(wal|shm)$/.test(name));
    const made = after.filter((name) => !before.includes(name));
    assert.deepEqual(
      made.filter((name) => name !== "cordon.sqlite"),
      [],
      "nothing is made up for what is lost",
    );
    // And again, where something was lost: the first attempt has not made it look right.
    if (/lost|no bytes/.test(what)) assertFails(await home.cordon(["up", "-d"]), says, fix);
  });
}

test("the untouched state goes on", assertGoesOn);

test("a log that was cut is a shorter history, never a broken one", async () => {
  restore();
  assertDone(await home.cordon(["up", "-d"]));
  assertDone(await home.cordon(["chat", "assistant", "-m", "one more"]));
  const pid = /^(\d+)\n$/.exec(readFileSync(inState("mesh.pid"), "utf8"))?.[1];
  process.kill(Number(pid), "SIGKILL");
  await gone(Number(pid));
  const { size } = statSync(inState("cordon.sqlite-wal"));
  assert.ok(size > 8192, "there is something to cut");
  truncateSync(inState("cordon.sqlite-wal"), Math.floor(size / 2) + 100);
  assertDone(await home.cordon(["up", "-d"]));
  assert.match(assertDone(await home.cordon(["audit", "verify"])), /^intact/);
  assertDone(await home.cordon(["down"]));
});

test("a path that is a file, and one that is too long for a socket", async () => {
  home.write({ "a-file": "x" });
  assertFails(await home.cordon(["up", "-d", "--state", "a-file"]), /cannot be made/, /--state DIR/);
  assertFails(await home.cordon(["up", "-d", "--state", "a-file/below"]), /cannot be made/, /--state DIR/);
  const long = "x".repeat(100);
  assertFails(await home.cordon(["up", "-d", "--state", long]), /too long for a socket/, /shorter one/);
  assert.ok(!existsSync(join(home.folder, long)));
});

test("a folder that others rule cannot make the log land in a file of ours", async () => {
  home.write({ precious: "of ours" });
  for (const [name, uid, mode] of [
    ["foreign", 65_534, 0o700],
    ["open", process.getuid?.() ?? 0, 0o777],
  ] as const) {
    const trap = join(home.folder, name);
    mkdirSync(trap);
    symlinkSync(join(home.folder, "precious"), join(trap, "mesh.log"));
    chmodSync(trap, mode);
    chownSync(trap, uid, uid);
    assertFails(await home.cordon(["up", "-d", "--state", name]), /another user|entered by others/, /owner|chmod 700/);
    assert.equal(readFileSync(join(home.folder, "precious"), "utf8"), "of ours");
  }
});

async function gone(pid: number): Promise<void> {
  for (let n = 0; n < 200; n++) {
    // One that only waits for the system's init to read its exit code holds no lock any more.
    if (!existsSync(`/proc/${pid}`) || /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`process ${pid} is still there`);
}
