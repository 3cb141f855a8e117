/** What a person does with a fleet of one's own, from `init` to `down`, as real processes. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { tracesOf } from "../fleet/host-traces.ts";
import { readState } from "../fleet/doomed-mesh.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { echoFleet, openHome, type Home } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const homes: Home[] = [];
after(async () => {
  for (const home of homes) await home.close();
});
const home = (files?: Readonly<Record<string, string>>): Home => {
  const opened = openHome(files);
  homes.push(opened);
  return opened;
};
const installationOf = ({ state }: Home): string => readState(state, ({ meta }) => meta.get("installation") ?? "");

test("init, up, status, chat, exec, logs, costs, audit, credential, down", async () => {
  const { cordon, folder, state } = home();
  const mine = homes.at(-1) as Home;
  assert.match(assertDone(await cordon(["init"])), /wrote cordon\.yaml/);
  assert.match(assertDone(await cordon(["check"])), /ok: fleet .* with assistant/);
  assert.match(assertDone(await cordon(["up", "-d"])), /assistant[^]*stop it with `cordon down`/);
  const bystander = await cordon(["up", "-d"]);
  assertFails(bystander, /a mesh runs on the state `.*` already \(process \d+\)/, /`cordon down`/);
  assertFails(await cordon(["up"]), /a mesh runs on the state/, /`cordon down`/);

  await eventually("a running agent", async () =>
    (await cordon(["status"])).stdout.match(/assistant +running/) ? true : undefined,
  );
  assert.equal(assertDone(await cordon(["chat", "assistant", "-m", "hello there"])), "hello there\n");
  const shown = assertDone(await cordon(["exec", "assistant", "--", "/bin/node", "-p", "process.getuid()"]));
  assert.equal(shown, "1000\n", "what runs inside is not root");
  assert.equal(assertDone(await cordon(["exec", "assistant", "--", "node", "-p", "1 + 1"])), "2\n");
  const missing = await cordon(["exec", "assistant", "--", "/bin/nothing"]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /no such file/);
  assertFails(await cordon(["exec", "assistant", "--", "./node"]), /not an absolute path/, /whole path/);
  assert.match(assertDone(await cordon(["events", "assistant", "--type", "sandbox"])), /sandbox\.started/);
  assert.match(assertDone(await cordon(["logs", "assistant"])), /message\.settled/);

  const budgets = JSON.parse(assertDone(await cordon(["costs", "--json"]))) as {
    totals: { agent: string; calls: number; microUsd: number }[];
  };
  assert.equal(budgets.totals[0]?.agent, "assistant");
  assert.ok((budgets.totals[0]?.calls ?? 0) >= 1 && (budgets.totals[0]?.microUsd ?? 0) > 0);
  assert.match(assertDone(await cordon(["audit", "verify"])), /^intact: \d+ records/);
  assert.match(assertDone(await cordon(["audit", "show"])), /operator\.exec/);

  assert.match(assertDone(await cordon(["credential", "add", "openai"], { input: "sk-canary-1234567\n" })), /vault/);
  assert.match(assertDone(await cordon(["credential", "list"])), /openai/);
  assert.ok(!readFileSync(join(state, "cordon.sqlite")).includes("sk-canary"), "sealed at rest");
  assert.ok(!readFileSync(join(state, "mesh.log")).includes("sk-canary"));
  assertDone(await cordon(["credential", "revoke", "openai"]));
  assertFails(await cordon(["credential", "revoke", "openai"]), /no credential `openai`/, /credential list/);

  const installation = installationOf(mine);
  assert.ok(tracesOf(installation, state).length > 0, "the looks from outside see the sandbox");
  assert.match(assertDone(await cordon(["down"])), /stopped/);
  assert.deepEqual(tracesOf(installation, state), []);
  assertFails(await cordon(["down"]), /no mesh is running/, /`cordon up`/);

  // Without a mesh the books can still be read, and say the same.
  const closed = JSON.parse(assertDone(await cordon(["costs", "--json"]))) as typeof budgets;
  assert.deepEqual(closed.totals, budgets.totals);
  assert.match(assertDone(await cordon(["audit", "verify"])), /^intact/);
  assert.ok(!existsSync(join(folder, ".cordon", "mesh.pid")));
});

test("two fleets on one machine do not know of each other", async () => {
  const [one, two] = [home(echoFleet("one")), home(echoFleet("two"))];
  for (const run of await Promise.all([one, two].map(({ cordon }) => cordon(["up", "-d"])))) assertDone(run);
  const answers = await Promise.all(
    [one, two].map(({ cordon }, n) => cordon(["chat", "assistant", "-m", `to fleet ${n}`])),
  );
  assert.deepEqual(answers.map(assertDone), ["to fleet 0\n", "to fleet 1\n"]);
  const [first, second] = [installationOf(one), installationOf(two)];
  assert.notEqual(first, second);
  assertDone(await one.cordon(["down"]));
  assert.deepEqual(tracesOf(first, one.state), []);
  assert.ok(
    tracesOf(second, two.state).some((trace) => trace.kind === "process"),
    "the other one goes on",
  );
  assert.equal(assertDone(await two.cordon(["chat", "assistant", "-m", "still there?"])), "still there?\n");
  assertDone(await two.cordon(["down"]));
});

test("up in the foreground ends with Ctrl-C and leaves nothing; so does one that is still starting", async () => {
  const { start, state, cordon } = home(echoFleet("front"));
  const early = start(["up"]);
  await eventually("a state", async () => existsSync(join(state, "vault.key")) || undefined);
  early.interrupt();
  const stopped = await early.finished;
  assert.equal(stopped.code, 0, stopped.stderr);
  assert.match(stopped.stdout, /stopped/);

  const front = start(["up"]);
  await eventually("a sandbox", async () => (front.said().includes("sandbox.started") ? true : undefined));
  const installation = readState(state, ({ meta }) => meta.get("installation") ?? "");
  assert.ok(tracesOf(installation, state).length > 0);
  front.interrupt();
  assert.equal((await front.finished).code, 0);
  assert.deepEqual(tracesOf(installation, state), []);
  assertFails(await cordon(["status"]), /no mesh is running/, /`cordon up`/);
});
