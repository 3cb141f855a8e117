/** The life of a credential, and of the key that seals it, from the command line: with a mesh and without one. */
import assert from "node:assert/strict";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const homes: Home[] = [];
after(async () => {
  for (const home of homes) await home.close();
});
const home = (): Home => {
  const opened = openHome(echoFleet("vaulted"));
  homes.push(opened);
  return opened;
};

interface Shown {
  readonly credentials: readonly {
    name: string;
    version: number;
    standing: string;
    fingerprint: string;
    expiresAtMs: number | null;
  }[];
}

for (const running of [false, true]) {
  test(`add, show, rotate, expire, revoke ${running ? "while the fleet works" : "without a mesh"}`, async () => {
    const { cordon, state } = home();
    if (running) assertDone(await cordon(["up", "-d"]));
    const cards = async (): Promise<Shown["credentials"]> =>
      (JSON.parse(assertDone(await cordon(["credential", "list", "--json"]))) as Shown).credentials.filter(
        ({ name }) => name !== "rehearsal",
      );
    const first = await cordon(["credential", "add", "openai", "--expires", "30d"], { input: "sk-canary-one\n" });
    assert.match(assertDone(first), /`openai` is in the vault/);
    assertFails(
      await cordon(["credential", "add", "openai"], { input: "sk-canary-two\n" }),
      /in the vault already/,
      /credential rotate openai/,
    );
    assertFails(
      await cordon(["credential", "rotate", "other"], { input: "sk-canary-two\n" }),
      /no credential `other`/,
      /credential add other/,
    );
    const [before] = await cards();
    assert.ok(
      before?.version === 1 && before.standing === "live" && (before.expiresAtMs ?? 0) > Date.now() + 29 * 86_400_000,
    );
    assert.match(
      assertDone(await cordon(["credential", "rotate", "openai", "--overlap", "2h"], { input: "sk-canary-two\n" })),
      /new value/,
    );
    const [now] = await cards();
    assert.ok(now?.version === 2 && now.expiresAtMs === null && now.fingerprint !== before.fingerprint);
    assert.match(
      assertDone(await cordon(["credential", "show", "openai"])),
      /version 2, live[^]*1 older version is still kept[^]*never used/,
    );
    assertFails(await cordon(["credential", "show", "nothing"]), /no credential `nothing`/, /credential list/);
    const wrong = await cordon(["credential", "add", "x", "--expires", "30"], { input: "sk-canary-two" });
    assert.deepEqual([wrong.code, /needs a unit/.test(wrong.stderr)], [2, true]);

    assert.match(assertDone(await cordon(["vault", "rotate"])), /new master key/);
    assert.equal((await cards())[0]?.version, 2);
    assertDone(await cordon(["credential", "revoke", "openai"]));
    assertFails(await cordon(["credential", "revoke", "openai"]), /no credential `openai`/, /credential list/);
    assert.deepEqual(await cards(), []);
    if (running) {
      assertFails(
        await cordon(["vault", "protect"], { input: "a long passphrase" }),
        /the fleet is running/,
        /cordon down/,
      );
      assert.match(assertDone(await cordon(["credential", "usage"])), /never used: \w+ may use `rehearsal`/);
      assertDone(await cordon(["down"]));
    }
    assert.match(
      assertDone(await cordon(["audit", "verify"])),
      /^intact/,
      "the evidence is verified under the new key, too",
    );
    assert.ok(!readFileSync(join(state, "cordon.sqlite")).includes("sk-canary"));
  });
}

test("a vault key under a passphrase: asked for by every command that opens it, and put back", async () => {
  const { cordon, state, folder } = home();
  const file = join(folder, "pass");
  const key = join(state, "vault.key");
  const unlocked = ["--passphrase-file", file];
  writeFileSync(file, "correct horse battery\n", { mode: 0o600 });
  assertDone(await cordon(["credential", "add", "openai"], { input: "sk-canary-one\n" }));
  const plain = readFileSync(key);
  writeFileSync(`${file}.short`, "short\n");
  assertFails(await cordon(["vault", "protect", "--new-passphrase-file", `${file}.short`]), /12 to 1024 bytes/, /./);
  assert.ok(readFileSync(key).equals(plain));
  assert.match(
    assertDone(await cordon(["vault", "protect", "--new-passphrase-file", file])),
    /with the passphrase only/,
  );
  assert.ok(!readFileSync(key).includes(plain));
  assert.equal(statSync(key).mode & 0o777, 0o600);

  for (const words of [
    ["up", "-d"],
    ["credential", "list"],
    ["audit", "verify"],
    ["vault", "rotate"],
  ]) {
    const { code, stderr } = await cordon(words);
    assert.equal(code, 1, words.join(" "));
    assert.match(stderr, /protected by a passphrase[^]*give `--passphrase-file FILE`/);
    assert.match((await cordon([...words, "--passphrase-file", `${file}.none`])).stderr, /cannot be read \(ENOENT\)/);
  }
  assert.match(assertDone(await cordon(["credential", "list", ...unlocked])), /openai/);
  assert.match(assertDone(await cordon(["vault", "rotate", ...unlocked])), /new master key/);
  assertDone(await cordon(["up", "-d", ...unlocked]));
  assert.match(assertDone(await cordon(["credential", "list"])), /openai/, "a running mesh has opened it already");
  assertDone(await cordon(["vault", "rotate"]));
  assertDone(await cordon(["down"]));
  assert.match(assertDone(await cordon(["audit", "verify", ...unlocked])), /^intact/);
  assert.match(assertDone(await cordon(["vault", "unprotect", ...unlocked])), /without a passphrase/);
  assert.match(assertDone(await cordon(["credential", "list"])), /openai/);
});
