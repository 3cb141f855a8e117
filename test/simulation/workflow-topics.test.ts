/** A step that waits for a message on a topic: what counts, and what is not missed. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { Json } from "../../lib/json.ts";
import { unlabelled, type Label } from "../../protocol/label.ts";
import { outcomeOf } from "../../mesh/workflow/engine/journal.ts";
import { digestOfPlan } from "../../mesh/workflow/plan-digest.ts";
import type { Workflow } from "../../mesh/workflow/definition.ts";
import { constant, given, heard, output, planOf, step, text, workflow } from "./workflow-plans.ts";
import { SimulatedClock } from "./world.ts";
import { openWorkflows, until, Upstream, type WorkflowWorld } from "./workflow-world.ts";

interface Scene {
  readonly clock: SimulatedClock;
  /** The process ends without a word, and another opens the same state. */
  reopen(): Promise<WorkflowWorld>;
}

async function inWorld(play: (world: WorkflowWorld, scene: Scene) => Promise<void>): Promise<void> {
  const path = mkdtempSync(join(tmpdir(), "cordon-topics-"));
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  let opening = 0;
  const open = (): Promise<WorkflowWorld> =>
    openWorkflows({ path, clock, opening: opening++, upstream: new Upstream() });
  let world = await open();
  const reopen = async (): Promise<WorkflowWorld> => {
    world.stop();
    await world.store.close();
    return (world = await open());
  };
  try {
    await play(world, { clock, reopen });
  } finally {
    world.stop();
    await world.store.close();
    rmSync(path, { recursive: true, force: true });
  }
}

const untrusted: Label = { integrity: "untrusted", confidentiality: "internal", sources: ["agent:scribe"] };

async function say(
  { topics, store }: WorkflowWorld,
  body: string,
  more: { readonly sender?: string; readonly topic?: string; readonly ttlSeconds?: number } = {},
): Promise<void> {
  const sender = more.sender ?? "agent:scribe";
  const { topic = "news", ttlSeconds } = more;
  const said = topics.publish({ topic, sender, session: "s", body, label: untrusted, ttlSeconds });
  assert.ok(said.ok);
  await store.commit(said.value.writes);
  said.value.done();
}

const waiting = (more: Parameters<typeof heard>[1] = {}, change: object = {}): Workflow =>
  workflow("wait", [{ ...step("ear", [], heard(constant("news"), more)), ...change }], output("ear", "body"));

async function begun({ engine }: WorkflowWorld, made: Workflow, input: Json = {}): Promise<string> {
  const started = await engine.start({ plan: planOf(made), input, label: unlabelled, by: "principal:operator" });
  assert.ok(started.ok);
  return started.value.run;
}
const isOpen = ({ engine }: WorkflowWorld, run: string): boolean => engine.state(run) !== undefined;

async function ended(world: WorkflowWorld, { clock }: Scene, run: string) {
  await until(clock, () => !isOpen(world, run));
  return outcomeOf(world.store, run);
}

test("what was there before the step is not what it waits for; what comes after is, with its label", () =>
  inWorld(async (world, scene) => {
    await say(world, "old");
    const run = await begun(world, waiting());
    await until(scene.clock, () => false, 5);
    assert.ok(isOpen(world, run), "an old message ends no wait");
    await say(world, "other", { topic: "gossip" });
    await until(scene.clock, () => false, 5);
    assert.ok(isOpen(world, run), "nor does another topic");
    await say(world, "new");
    const over = await ended(world, scene, run);
    assert.equal(over?.output, "new");
    assert.equal(over?.label.integrity, "untrusted");
  }));

test("a message that came before the step, but after a known position, is found by `after`", () =>
  inWorld(async (world, scene) => {
    await say(world, "one");
    await say(world, "two");
    const run = await begun(world, waiting({ after: constant(1) }));
    assert.equal((await ended(world, scene, run))?.output, "two");
  }));

test("a message that nobody was there to see is found by the next process", () =>
  inWorld(async (world, scene) => {
    const run = await begun(world, waiting());
    const second = await scene.reopen();
    // Before the engine has taken up anything.
    await say(second, "while you were away");
    await say(second, "and another");
    await second.engine.recover();
    assert.equal((await ended(second, scene, run))?.output, "while you were away");
  }));

test("only the agent that the file names is heard", () =>
  inWorld(async (world, scene) => {
    const run = await begun(world, waiting({ from: "editor" }));
    for (let n = 0; n < 250; n++) await say(world, `noise ${n}`, { sender: "agent:intern" });
    await say(world, "principal", { sender: "principal:editor" });
    await until(scene.clock, () => false, 5);
    assert.ok(isOpen(world, run));
    await say(world, "go", { sender: "agent:editor" });
    assert.equal((await ended(world, scene, run))?.output, "go");
  }));

test("what has expired is passed over, however much of it there is", () =>
  inWorld(async (world, scene) => {
    const run = await begun(world, waiting());
    const second = await scene.reopen();
    for (let n = 0; n < 250; n++) await say(second, `short-lived ${n}`, { ttlSeconds: 1 });
    await say(second, "kept");
    scene.clock.pass(10_000);
    await second.engine.recover();
    assert.equal((await ended(second, scene, run))?.output, "kept");
  }));

test("nothing comes: the step's own time ends it; and a position that is none is a fault of the input", () =>
  inWorld(async (world, scene) => {
    const run = await begun(world, waiting({}, { timeoutMs: 3_000 }));
    assert.match((await ended(world, scene, run))?.reason ?? "", /not done within 3000 ms/);
    const wrong = await begun(world, waiting({ after: given("x") }), { x: -1 });
    assert.match((await ended(world, scene, wrong))?.reason ?? "", /`after` is not a position/);
  }));

test("a topic that the plan does not name is not listened to", () =>
  inWorld(async (world, scene) => {
    const made = workflow("w", [step("ear", [], heard(text("news/", given("x"))))], output("ear"));
    const whole = planOf(made);
    const narrow = whole.steps.map((each) => ({
      ...each,
      actions: [{ verb: "topic.subscribe", target: "news/*", rule: "simulated" }] as const,
    }));
    const { digest: _, findings, ...rest } = { ...whole, steps: narrow };
    const plan = { ...rest, digest: digestOfPlan(rest), findings };
    const { engine } = world;
    const started = await engine.start({ plan, input: { x: "a/b" }, label: unlabelled, by: "principal:operator" });
    assert.ok(started.ok);
    const over = await ended(world, scene, started.value.run);
    assert.match(over?.reason ?? "", /the plan does not name `topic.subscribe` of `news\/a\/b`/);
  }));
