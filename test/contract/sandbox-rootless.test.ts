/**
 * Sandboxes of an ordinary user. This process is root and is the operator: it makes a user, gives him what he needs, and takes
 * all of it away again. What is tested runs as that user. How such a mesh starts and ends: sandbox-rootless-mesh.test.ts.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { cordon, openUser, type OrdinaryUser, skipRootless } from "./rootless/ordinary-user.ts";

const skip = await skipRootless();
if (skip !== false) console.error(`SKIPPED: sandboxes of an ordinary user: ${skip}`);
const contract = fileURLToPath(new URL("rootless/contract.ts", import.meta.url));
const guests = fileURLToPath(new URL("rootless/guests.ts", import.meta.url));
/** Of the contract and the fence together; fewer would be a suite that has not run. */
const TESTS_MIN = 44;

describe("sandboxes of an ordinary user", { skip, timeout: 290_000 }, () => {
  let user: OrdinaryUser;
  before(async () => void (user = await openUser()));
  after(() => user?.close());

  it("keep the contract of every backend, and the fence", async () => {
    const { code, text } = await user.enter("--test-reporter=tap", contract).finished;
    const failed = text.split("\n").filter((line) => /^ *not ok /.test(line));
    assert.deepEqual([failed, code], [[], 0], text.slice(-4_000));
    const count = (word: string): number => Number(new RegExp(`^# ${word} (\\d+)$`, "m").exec(text)?.[1] ?? -1);
    assert.ok(count("pass") >= TESTS_MIN, text.slice(-2_000));
    assert.deepEqual([count("fail"), count("skipped"), count("cancelled"), count("todo")], [0, 0, 0, 0]);
    await user.ended();
    assert.deepEqual(user.groups(), []);
  });

  it("are those of guests, too", async () => {
    const { code, text } = await user.enter("--test-reporter=tap", guests).finished;
    const failed = text.split("\n").filter((line) => /^ *not ok /.test(line));
    assert.deepEqual([failed, code], [[], 0], text.slice(-4_000));
    assert.ok(Number(/^# pass (\d+)$/m.exec(text)?.[1]) >= 3, text.slice(-2_000));
    await user.ended();
    assert.deepEqual(user.groups(), []);
  });

  // The probe, which runs always, makes most of these attempts; all of them take another twenty seconds.
  const long = process.env["CORDON_ROOTLESS"] === "long" ? false : "set CORDON_ROOTLESS=long for the whole assault";
  it("let nothing out under assault", { skip: long }, async () => {
    const { code, text } = await user.run(process.execPath, [cordon, "assault"]).finished;
    assert.match(text, /it holds: the oci backend: \d{3} attempts stopped, 0 got out, 0 walls are missing/);
    assert.equal(code, 0);
  });
});
