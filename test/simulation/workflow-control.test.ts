/** People and plans have a say in a run: approvals, pause, cancellation, retry, keys, and what no plan names. */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { Workflow } from "../../mesh/workflow/definition.ts";
import { digestOfPlan } from "../../mesh/workflow/plan-digest.ts";
import { readJournal } from "../../mesh/workflow/engine/journal.ts";
import { replay } from "../../mesh/workflow/engine/replay.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";
import { defaultTenant } from "../../mesh/store/statements.ts";
import { unlabelled } from "../../protocol/label.ts";
import { SimulatedClock, stateFolder } from "./world.ts";
import { agent, boardWrite, constant, given, output, planOf, step, task, text, workflow } from "./workflow-plans.ts";
import { openWorkflows, until, Upstream, type WorldParts } from "./workflow-world.ts";

const editor = { name: "principal:ed", has: (role: string): boolean => role === "editor" };
const by = "principal:operator";

async function scene(t: TestContext, more: Partial<WorldParts> = {}) {
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const world = await openWorkflows({ path: stateFolder(t), clock, opening: 0, upstream: new Upstream(), ...more });
  t.after(async () => {
    world.stop();
    await world.store.close();
  });
  const start = async (made: Workflow, input = {}) => {
    const started = await world.engine.start({ plan: planOf(made), input, label: unlabelled, by });
    assert.ok(started.ok, JSON.stringify(started));
    return started.value.run;
  };
  const end = async (run: string) => {
    await until(clock, () => world.engine.state(run) === undefined);
    const journal = readJournal(world.store, run);
    const last = journal.at(-1)?.event;
    assert.equal(last?.kind, "run.finished");
    return { last, journal };
  };
  const settle = async () => {
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  };
  return { ...world, clock, start, end, settle };
}

const approve = task(
  { kind: "approve", ask: text("publish?"), roles: ["editor"], expiresMs: 60_000 },
  constant({ text: "exactly this" }),
);
const asking = workflow(
  "asking",
  [step("ask", [], approve), step("do", ["ask"], boardWrite(constant("a"), constant("b")))],
  output("do", "version"),
);

test("an approval is bound to its action, its role and its time, and is given once", async (t) => {
  const { engine, start, end, board } = await scene(t);
  const run = await start(asking);
  const [open] = engine.approvals();
  assert.ok(open);
  const answer = (hash: string, who = editor) => engine.answer(run, { task: "ask", hash, approved: true }, who);
  assert.equal(code(await answer("0".repeat(64))), "conflict");
  assert.equal(code(await answer(open.hash, { name: "principal:eve", has: () => false })), "denied");
  assert.equal(board.read("a", undefined), undefined);
  const [first, second] = await Promise.all([answer(open.hash), answer(open.hash)]);
  assert.deepEqual([first.ok, code(second)], [true, "not_found"]);
  assert.equal((await end(run)).last.status, "succeeded");
});

test("a no and silence end the run, and nothing is done", async (t) => {
  const { engine, start, end, board, clock } = await scene(t);
  const refused = await start(asking);
  const [open] = engine.approvals();
  await engine.answer(refused, { task: "ask", hash: open?.hash ?? "", approved: false }, editor);
  assert.equal((await end(refused)).last.status, "failed");
  const silent = await start(asking);
  const [late] = engine.approvals();
  clock.jumpTo("2026-11-22T12:00:00Z");
  assert.equal(
    code(await engine.answer(silent, { task: "ask", hash: late?.hash ?? "", approved: true }, editor)),
    "not_found",
  );
  assert.match((await end(silent)).last.reason, /nobody has answered/);
  assert.equal(board.read("a", undefined), undefined);
});

test("what the plan does not name is not done", async (t) => {
  const { engine, board, end } = await scene(t);
  const plan = planOf(
    workflow("sly", [step("a", [], boardWrite(constant("secret/x"), constant("y")))], constant(null)),
  );
  const narrowed = {
    ...plan,
    steps: plan.steps.map((each) => ({
      ...each,
      actions: [{ verb: "board.write", target: "public/*", rule: "" } as const],
    })),
  };
  const honest = { ...narrowed, digest: digestOfPlan(narrowed) };
  assert.equal(code(await engine.start({ plan: narrowed, input: {}, label: unlabelled, by })), "conflict");
  const started = await engine.start({ plan: honest, input: {}, label: unlabelled, by });
  assert.ok(started.ok);
  assert.match((await end(started.value.run)).last.reason, /the plan does not name `board.write` of `secret\/x`/);
  assert.equal(board.read("secret/x", undefined), undefined);
});

test("a cancelled run takes its message back; an agent that has it in hand is told", async (t) => {
  const { engine, start, end, inboxes, store, settle } = await scene(t, { answer: () => undefined });
  const hold = new AbortController();
  t.after(() => hold.abort());
  const run = await start(
    workflow("long", [step("a", [], task({ kind: "agent", agent: "other", task: text("work") }))], constant(null)),
  );
  const delivery = await inboxes.next("other", 0, hold.signal);
  assert.ok(delivery);
  assert.ok((await engine.cancel(run, by)).ok);
  await settle();
  assert.equal((await end(run)).last.status, "cancelled");
  assert.equal(store.query.messages.get(defaultTenant, delivery.id)?.state, "settled");
  const notice = await inboxes.next("other", 0, hold.signal);
  assert.match(notice?.body ?? "", new RegExp(`cancelled: task ${delivery.id}`));
});

test("a paused run begins nothing; a retried one keeps what was done", async (t) => {
  let broken = true;
  const { engine, start, end, settle, board } = await scene(t, {
    answer: ({ body }) => (broken && body === "b" ? undefined : body.toUpperCase()),
  });
  const made = workflow(
    "again",
    [
      step("a", [], boardWrite(constant("once"), constant("x"))),
      step("b", ["a"], agent(text("b"))),
      step("c", ["b"], agent(text("c ", output("b")))),
    ],
    output("c"),
  );
  const run = await start(made);
  assert.equal((await end(run)).last.status, "failed");
  broken = false;
  assert.equal(code(await engine.retry(run, "nowhere", by)), "not_found");
  assert.ok((await engine.retry(run, "b", by)).ok);
  const { last, journal } = await end(run);
  assert.equal(last.output, "C B");
  assert.equal(board.read("once", undefined)?.version, 1);
  assert.ok(replay(planOf(made), journal, language).ok);
  const paused = await start(made);
  assert.ok((await engine.pause(paused, by)).ok);
  await settle();
  assert.equal(engine.state(paused)?.tasks.get("c"), undefined);
  assert.ok((await engine.resume(paused, by)).ok);
  assert.equal((await end(paused)).last.status, "succeeded");
});

test("runs with the same key take turns in order of their start", async (t) => {
  const { engine, start, end, settle } = await scene(t);
  const made = { ...asking, concurrency: { key: given("of"), limit: 1 } };
  const first = await start(made, { of: "x" });
  const second = await start(made, { of: "x" });
  const other = await start(made, { of: "y" });
  assert.deepEqual(
    engine.approvals().map(({ run }) => run),
    [first, other],
  );
  await engine.cancel(first, by);
  await end(first);
  await settle();
  assert.deepEqual(
    engine.approvals().map(({ run }) => run),
    [second, other],
  );
});

const code = (result: { readonly ok: boolean; readonly error?: { readonly code: string } }): string =>
  result.ok ? "ok" : (result.error?.code ?? "");

test("a run that several retry at the same moment begins anew once", async (t) => {
  const { engine, start, end, store } = await scene(t);
  const run = await start(asking);
  const [open] = engine.approvals();
  await engine.answer(run, { task: "ask", hash: open?.hash ?? "", approved: false }, editor);
  await end(run);
  const answers = await Promise.all([1, 2, 3].map(() => engine.retry(run, "ask", by)));
  assert.deepEqual(answers.map(code).toSorted(), ["conflict", "conflict", "ok"]);
  assert.equal(readJournal(store, run).filter(({ event }) => event.kind === "run.retried").length, 1);
  const [again] = engine.approvals();
  await engine.answer(run, { task: "ask", hash: again?.hash ?? "", approved: true }, editor);
  assert.equal((await end(run)).last.status, "succeeded");
});
