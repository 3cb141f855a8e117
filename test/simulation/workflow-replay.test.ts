/** Stored histories of earlier versions of the engine: this one must come to the same, and notice what does not follow. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ok } from "../../lib/result.ts";
import type { Plan } from "../../mesh/workflow/definition.ts";
import type { Entry, RunEvent } from "../../mesh/workflow/engine/event.ts";
import type { Language } from "../../mesh/workflow/engine/language.ts";
import { advance, unborn } from "../../mesh/workflow/engine/advance.ts";
import { decideNext } from "../../mesh/workflow/engine/decide-next.ts";
import { replay } from "../../mesh/workflow/engine/replay.ts";
import { language } from "../../mesh/workflow/engine/workflow-language.ts";

const folder = join(import.meta.dirname, "histories");
const names = readdirSync(folder).filter((name) => name.endsWith(".json"));
const histories = names.map((name) => ({
  name,
  ...(JSON.parse(readFileSync(join(folder, name), "utf8")) as {
    readonly plan: Plan;
    readonly entries: readonly Entry[];
  }),
}));

test("every stored history follows from its plan", () => {
  assert.ok(histories.length >= 6);
  for (const { name, plan, entries } of histories) {
    const verdict = replay(plan, entries, language);
    assert.ok(verdict.ok, `${name}: ${JSON.stringify(verdict)}`);
    assert.ok(verdict.decided > 0);
  }
});

const renumbered = (entries: readonly Entry[]): Entry[] =>
  entries.map((entry, index) => ({ ...entry, seq: index + 1 }));
const decidedKinds = new Set(["step.started", "step.skipped", "step.concluded", "step.broken", "step.cancelled"]);

test("an event that is dropped, doubled or altered is found, wherever it stands", () => {
  let mutations = 0;
  for (const { name, plan, entries } of histories) {
    for (const [at, entry] of entries.entries()) {
      const dropped = renumbered(entries.toSpliced(at, 1));
      // The last event may be missing: then the run is still open.
      if (at < entries.length - 1) assert.ok(!replay(plan, dropped, language).ok, `${name}: ${at} dropped`);
      assert.ok(!replay(plan, renumbered(entries.toSpliced(at, 0, entry)), language).ok, `${name}: ${at} doubled`);
      for (const altered of alterations(entry.event)) {
        const verdict = replay(plan, entries.toSpliced(at, 1, { ...entry, event: altered }), language);
        assert.ok(!verdict.ok, `${name}: ${at} ${JSON.stringify(entry.event)} altered to ${JSON.stringify(altered)}`);
        mutations++;
      }
    }
  }
  assert.ok(mutations > 200);
});

/** Every field of an event with another value; results are free within their schema, what follows from them is not. */
function alterations(event: RunEvent): RunEvent[] {
  const free = new Set(decidedKinds.has(event.kind) ? ["effect"] : []);
  if (event.kind === "step.failed") for (const field of ["reason", "code"]) free.add(field);
  // What nothing later depends on cannot be told from another result.
  if (event.kind === "step.succeeded") for (const field of ["output", "label"]) free.add(field);
  if (event.kind === "run.started") for (const field of ["run", "input", "label"]) free.add(field);
  return Object.entries(event).flatMap(([field, value]) => {
    if (free.has(field)) return [];
    const other = typeof value === "number" ? value + 1 : typeof value === "string" ? `${value}x` : { other: true };
    return [{ ...event, [field]: other }];
  });
}

test("an engine that reads a plan otherwise is found", () => {
  const mutants: Readonly<Record<string, Language>> = {
    "values are shouted": {
      ...language,
      value: (expression, scope) => {
        const value = language.value(expression, scope);
        return value.ok && typeof value.value === "string" ? ok(`${value.value}!`) : value;
      },
    },
    "conditions are turned round": {
      ...language,
      holds: (condition, scope) => {
        const held = language.holds(condition, scope);
        return held.ok ? ok(!held.value) : held;
      },
    },
    "everything fails its schema": { ...language, misfit: () => "no" },
  };
  for (const [what, mutant] of Object.entries(mutants))
    assert.ok(
      histories.some(({ plan, entries }) => !replay(plan, entries, mutant).ok),
      what,
    );
});

test("nothing that could begin was left for later: an engine that is more eager than the one before it is found", () => {
  let looks = 0;
  for (const { name, plan, entries } of histories) {
    let state = unborn;
    for (const entry of entries) {
      // Whatever was ready stands in the journal before the next thing that somebody else has done, or that time brought.
      const isDecided = decidedKinds.has(entry.event.kind) || entry.event.kind === "run.finished";
      if (state.seq > 0 && (!isDecided || entry.atMs > state.atMs)) {
        const { events } = decideNext(plan.workflow, state, state.atMs, language);
        assert.deepEqual(events, [], `${name}: before ${entry.seq}`);
        looks++;
      }
      state = advance(plan.workflow, state, entry);
    }
  }
  assert.ok(looks > 30, `${looks}`);
});

test("a plan that was changed after the run is found", () => {
  for (const { plan, entries } of histories) {
    const widened = { ...plan, steps: plan.steps.map((step) => ({ ...step, destinations: ["evil.example"] })) };
    assert.ok(!replay(widened, entries, language).ok);
  }
});
