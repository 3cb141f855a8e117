/** The six examples as a person runs them: the real command line, a real mesh, real sandboxes, the rehearsal model. */
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { RunDetail, RunPage, RunTrace } from "../../protocol/run.ts";
import { systemClock } from "../../lib/clock.ts";
import { planFacts } from "../../mesh/commands/plan.ts";
import { loadFleet } from "../../mesh/config/load.ts";
import { loadWorkflow } from "../../mesh/workflow/load.ts";
import { isAllowed, planWorkflow } from "../../mesh/workflow/plan.ts";
import { openDesk } from "../../user/cli/desk-client.ts";
import { eventually } from "../fleet/running-mesh.ts";
import { openHome } from "./cordon.ts";
import { assertDone, assertFails } from "./failure.ts";

const home = openHome();
const { cordon, folder } = home;
let listener: ReturnType<typeof home.start> | undefined;
const SECRET = "a-secret-of-the-alarm-system";

before(async () => {
  cpSync(fileURLToPath(new URL("../../examples/workflows", import.meta.url)), folder, { recursive: true });
  const fleet = join(folder, "cordon.yaml");
  const text = readFileSync(fleet, "utf8");
  const often = text.replace('cron: "0 2 * * *", time_zone: Europe/Berlin', "every: 10s");
  assert.notEqual(often, text, "a night is too long for a test");
  writeFileSync(fleet, often);
  assertDone(await cordon(["up", "-d"]));
});
after(async () => {
  listener?.kill();
  await home.close();
});

async function json<T>(...words: string[]): Promise<T> {
  return JSON.parse(assertDone(await cordon([...words, "--json"]))) as T;
}
const show = async (run: string): Promise<RunDetail> => (await openDesk(home.state)).run(run);
const detached = async (file: string, input: object = {}): Promise<string> =>
  assertDone(await cordon(["run", file, "--detach", "--input", JSON.stringify(input)])).trim();
const when = (run: string, wanted: (found: RunDetail) => boolean): Promise<RunDetail> =>
  eventually(`${run} to come to something`, async () => {
    const found = await show(run);
    return wanted(found) ? found : undefined;
  });
const over = (run: string): Promise<RunDetail> => when(run, ({ finishedAtMs }) => finishedAtMs !== null);
const asked = (run: string): Promise<RunDetail> => when(run, ({ approvals }) => approvals.length > 0);
const phases = ({ tasks }: RunDetail): string => tasks.map(({ task, phase }) => `${task} ${phase}`).join(", ");
const board = async (key: string): Promise<string | undefined> => {
  const { rows } = await (await openDesk(home.state)).board(key);
  return rows[0]?.value;
};
const allRuns = async (): Promise<RunPage["runs"]> => (await (await openDesk(home.state)).runs()).runs;

test("every example can be planned, and its plan may run", async () => {
  assert.match(assertDone(await cordon(["plan", "press-review.yaml"])), /this plan may run/);
  const files = readdirSync(folder).filter((name) => /\.yaml$/.test(name) && !/^(cordon|rehearsal)\.yaml$/.test(name));
  assert.ok(files.length >= 7, files.join(", "));
  const facts = planFacts(loadFleet(join(folder, "cordon.yaml")), systemClock);
  for (const file of files) {
    const compiled = loadWorkflow(join(folder, file));
    assert.ok(compiled.ok && isAllowed(planWorkflow(compiled.value, facts)), file);
  }
});

test("press review: published when a person has approved exactly this text", async () => {
  const run = await detached("press-review.yaml");
  const [approval] = (await asked(run)).approvals;
  assert.ok(approval);
  const { text } = (approval.action as { with: { text: string } }).with;
  assertFails(await cordon(["runs", "approve", run, "approval", "0".repeat(12)]), /does not ask/, /runs show/);
  assert.ok(
    !readdirSync(folder).includes("output") || !readdirSync(join(folder, "output")).includes("press-review.md"),
  );
  assertDone(await cordon(["runs", "approve", run, "approval", approval.hash.slice(0, 12)]));
  const ended = await over(run);
  assert.equal(ended.output, "press-review.md", ended.reason);
  assert.equal(readFileSync(join(folder, "output", "press-review.md"), "utf8"), text);
  assert.match(assertDone(await cordon(["replay", run])), /^ok: \d+ events/);

  const refused = await detached("press-review.yaml");
  const [second] = (await asked(refused)).approvals;
  assertDone(await cordon(["runs", "deny", refused, "approval", (second?.hash ?? "").slice(0, 12)]));
  assert.equal((await over(refused)).status, "failed");
});

test("map over a folder: three notes are enough, the rest is called off", async () => {
  const { stdout, stderr, code } = await cordon(["run", "folder-digest.yaml"]);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /succeeded +notes\[\d\]/, "each step is told as it comes to something");
  const run = /^(run_[a-z0-9]+) succeeded/m.exec(stdout)?.[1] ?? "";
  const { tasks } = await show(run);
  assert.ok(tasks.filter(({ task, phase }) => task.startsWith("notes[") && phase === "succeeded").length >= 3);
  assert.ok(readFileSync(join(folder, "output", "folder-digest.md"), "utf8").length > 50);

  const { spans } = await json<RunTrace>("trace", run);
  const calls = spans.filter(({ kind }) => kind === "model");
  assert.ok(calls.length >= 4, "three notes and the digest");
  for (const { depth, name, tokens, microUsd } of calls) {
    assert.ok(depth >= 1 && name === "rehearsal/workflows" && tokens > 0 && microUsd > 0);
  }
  assertDone(await cordon(["trace", run, "--otlp", "spans.json"]));
  const exported = readFileSync(join(folder, "spans.json"), "utf8");
  assert.equal(exported.split('"name":"chat workflows"').length - 1, calls.length, "each call is a span of its own");
  const shown = assertDone(await cordon(["trace", run]));
  assert.match(shown, /^› › rehearsal\/workflows .*\d+ tokens, \$0\.\d+/m, "a call within a step of a child run");
  assert.match(shown, /^trace run_[a-z0-9]+, begun by principal:operator: \d+ tokens, \$0\.\d+/m);
});

test("incident triage: a signed webhook begins one run; a page is sent only when someone on duty agrees", async () => {
  assertDone(await cordon(["credential", "add", "alarm-webhook"], { input: `${SECRET}\n` }));
  const started = (listener = home.start(["hooks", "--listen", "127.0.0.1:0"]));
  const url = await eventually("the listener", () =>
    Promise.resolve(/http:\/\/127\.0\.0\.1:\d+\/hooks\//.exec(started.said())?.[0]),
  );
  const send = async (body: string, signature = createHmac("sha256", SECRET).update(body).digest("hex")) => {
    const headers = { "x-hub-signature-256": `sha256=${signature}`, "content-type": "application/json" };
    return (await fetch(`${url}alarm`, { method: "POST", body, headers })).status;
  };
  const runs = async () => (await allRuns()).filter(({ starter }) => starter === "hook:alarm").toReversed();
  const grave = JSON.stringify({ service: "shop", message: "total outage, data loss", other: 1 });

  assert.equal(await send(grave, "0".repeat(64)), 401);
  assert.notEqual(await send(JSON.stringify({ service: "../etc", message: "x" })), 202, "the input must fit");
  assert.notEqual(await send(JSON.stringify({ message: "x" })), 202, "nothing may be missing");
  assert.deepEqual(await runs(), []);
  assert.equal(await send(grave), 202);
  assert.equal(await send(grave), 202, "a delivery that comes again is taken, and nothing happens");
  assert.equal(await send(JSON.stringify({ service: "blog", message: "a typing mistake" })), 202);
  const [shop, blog, ...more] = await runs();
  assert.ok(shop && blog && more.length === 0, "one run for each delivery");

  const [approval] = (await asked(shop.id)).approvals;
  assert.equal(await board("records/pages/shop"), undefined, "nobody is paged yet");
  assertDone(await cordon(["runs", "approve", shop.id, "escalate", approval?.hash ?? ""]));
  assert.equal((await over(shop.id)).status, "succeeded");
  assert.match((await board("records/pages/shop")) ?? "", /is down/);
  const calm = await over(blog.id);
  assert.match(phases(calm), /escalate skipped, page skipped/);
  assert.match((await board("records/incidents/blog")) ?? "", /^low: /);

  // One id leads from what came in to what was paid.
  const { records } = await (await openDesk(home.state)).audit(0, 1_000);
  const about = records.filter(({ detail }) => [detail["run"], detail["trace"]].includes(shop.id));
  const kinds = new Set(about.map(({ kind }) => kind));
  for (const kind of ["hook.received", "workflow.advanced", "model.reserved", "model.settled"])
    assert.ok(kinds.has(kind), `${kind} tells the run`);
  started.interrupt();
  assert.equal((await started.finished).code, 0);
});

test("nightly report: a tick begins a run, whose report holds the records", async () => {
  const fired = await eventually("a tick", async () => {
    return (await allRuns()).find(
      ({ starter, finishedAtMs }) => starter === "schedule:nightly" && finishedAtMs !== null,
    );
  });
  assert.equal(fired.status, "succeeded", fired.reason);
  assert.ok(readdirSync(join(folder, "output")).includes(`nightly-${fired.id}.md`));
  const { code, stdout, stderr } = await cordon(["run", "nightly-report.yaml"]);
  assert.equal(code, 0, stderr);
  const run = /^(run_[a-z0-9]+) succeeded/m.exec(stdout)?.[1] ?? "";
  assert.match(readFileSync(join(folder, "output", `nightly-${run}.md`), "utf8"), /incidents|down|low/);
});

test("paused research: its budget is used up, a person raises it, and it goes on where it was", async () => {
  const questions = ["high water", "the ferry", "the market", "the signal", "the oldest", "a gap", "a name", "a place"];
  const run = await detached("paused-research.yaml", { questions: [...questions, "why", "what next"] });
  const paused = await when(run, ({ status }) => status === "paused");
  assert.match(paused.reason, /the budget of `run:run_[a-z0-9]+` is used up: 6000 tokens/);
  const done = paused.tasks.filter(({ phase }) => phase === "succeeded").length;
  assert.ok(done > 0);
  assertFails(await cordon(["runs", "resume", run, "--tokens", "many"]), /`--tokens`/, /20k/, 2);
  assertDone(await cordon(["runs", "resume", run, "--tokens", "20k"]));
  const ended = await over(run);
  assert.equal(ended.status, "succeeded", ended.reason);
  assert.ok(ended.tasks.every(({ attempt, phase }) => attempt <= 2 && phase === "succeeded"));
});

test("fallback and compensation: the list price stands in, and a reservation is undone", async () => {
  const booked = await cordon(["run", "order.yaml", "--json", "--input", '{"item":"lamp","booking":0}']);
  assert.deepEqual((JSON.parse(assertDone(booked)) as RunDetail).output, {
    booked: "records/booked/lamp",
    micro_usd: 1_200_000,
  });
  const rare = await cordon(["run", "order.yaml", "--json", "--input", '{"item":"rareprint","booking":0}']);
  const instead = JSON.parse(assertDone(rare)) as RunDetail;
  assert.match(phases(instead), /list_price succeeded/);

  const undone = await cordon(["run", "order.yaml", "--json", "--input", '{"item":"chair","booking":7}']);
  assert.equal(undone.code, 1);
  const failed = JSON.parse(undone.stdout) as RunDetail;
  assert.match(phases(failed), /book failed.*release succeeded|release succeeded.*book failed/);
  assert.equal(await board("records/reserved/chair"), undefined);
  assertFails(
    await cordon(["runs", "retry", failed.id, "--from", "nothing"]),
    /has no step `nothing`/,
    /cordon runs show/,
  );
  assertDone(await cordon(["runs", "retry", failed.id, "--from", "book"]));
  const again = await when(failed.id, ({ finishedAtMs, seq }) => finishedAtMs !== null && seq > failed.seq);
  assert.equal(again.status, "failed", "what kept it from being booked still does");
  assert.match(assertDone(await cordon(["replay", failed.id])), /^ok: /);
});

test("pause, resume and cancel from the command line", async () => {
  const run = await detached("press-review.yaml");
  await asked(run);
  assertDone(await cordon(["runs", "pause", run]));
  assert.equal((await show(run)).status, "paused");
  assertFails(await cordon(["runs", "pause", run]), /is paused/, /runs show/);
  assertDone(await cordon(["runs", "resume", run]));
  assert.equal((await show(run)).status, "running");
  assertDone(await cordon(["runs", "cancel", run]));
  assert.equal((await over(run)).status, "cancelled");
  assertFails(await cordon(["runs", "cancel", run]), /no open run/, /cordon runs/);
  assert.match(assertDone(await cordon(["runs"])), /cancelled/);
  assert.match(assertDone(await cordon(["audit", "verify"])), /^intact: /);
});
