/** Compare-and-set of the board under concurrency: the history that clients saw, checked against one key at one time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Blackboard, type BoardWrite } from "../../mesh/blackboard/blackboard.ts";
import { openStore } from "../../mesh/store/open.ts";
import { unlabelled } from "../../protocol/label.ts";
import { SimulatedClock, stateFolder } from "./world.ts";

/** What a client asked of one key, what it was told (a version, 0 = nothing there or refused), and between which moments. */
interface Operation {
  readonly asked: {
    readonly do: "read" | "set" | "swap" | "delete";
    readonly ifVersion: number;
    readonly value: string;
  };
  readonly told: { readonly version: number; readonly value: string | null };
  readonly from: number;
  readonly to: number;
}
interface Register {
  readonly version: number;
  readonly value: string | null;
}

/** What an ideal register would tell, and what it is then. */
function applied(
  register: Register,
  { asked }: Operation,
): { readonly told: Operation["told"]; readonly after: Register } {
  const live = register.value === null ? 0 : register.version;
  const refused = { told: { version: 0, value: null }, after: register };
  switch (asked.do) {
    case "read":
      return { told: { version: live, value: register.value }, after: register };
    case "swap":
      if (asked.ifVersion !== live) return refused;
      break;
    case "delete":
      if (live === 0) return refused;
      break;
    case "set":
  }
  const after = { version: register.version + 1, value: asked.do === "delete" ? null : asked.value };
  return { told: { version: after.version, value: null }, after };
}

/** Wing and Gong, "Testing and Verifying Concurrent Objects" (1993), with states that were tried remembered. */
function isLinearizable(history: readonly Operation[]): boolean {
  const tried = new Set<string>();
  const search = (left: readonly number[], register: Register): boolean => {
    if (left.length === 0) return true;
    const state = `${left.join()}|${register.version}|${register.value}`;
    if (tried.has(state)) return false;
    tried.add(state);
    const operations = left.map((at) => [at, history[at]] as const);
    const firstEnd = Math.min(...operations.map(([, operation]) => operation?.to ?? 0));
    return operations.some(([at, operation]) => {
      if (!operation || operation.from > firstEnd) return false;
      const { told, after } = applied(register, operation);
      const agrees = told.version === operation.told.version && told.value === operation.told.value;
      return (
        agrees &&
        search(
          left.filter((other) => other !== at),
          after,
        )
      );
    });
  };
  return search([...history.keys()], { version: 0, value: null });
}

const entry = (value: string | null, ifVersion: number | undefined): BoardWrite => ({
  ...{ key: "k", value, ifVersion, ttlSeconds: undefined, writer: "a", session: "s", label: unlabelled },
});

const client = fc.array(fc.constantFrom("read", "read", "set", "swap", "swap", "swap-blind", "delete"), {
  minLength: 1,
  maxLength: 5,
});

test("the checker is awake: a lost update, a stale read and a doubled version are no history of a register", () => {
  const at = (
    asked: Operation["asked"],
    version: number,
    value: string | null,
    from: number,
    to: number,
  ): Operation => {
    return { asked, told: { version, value }, from, to };
  };
  const set = (value: string): Operation["asked"] => ({ do: "set", ifVersion: 0, value });
  const swap = (ifVersion: number, value: string): Operation["asked"] => ({ do: "swap", ifVersion, value });
  const read: Operation["asked"] = { do: "read", ifVersion: 0, value: "" };
  const begun = at(set("a"), 1, null, 0, 1);
  assert.ok(isLinearizable([begun, at(swap(1, "b"), 2, null, 2, 5), at(swap(1, "c"), 0, null, 3, 4)]));
  assert.ok(!isLinearizable([begun, at(swap(1, "b"), 2, null, 2, 5), at(swap(1, "c"), 2, null, 3, 4)]));
  assert.ok(!isLinearizable([begun, at(set("b"), 2, null, 2, 3), at(read, 1, "a", 4, 5)]));
  assert.ok(isLinearizable([begun, at(set("b"), 2, null, 2, 6), at(read, 1, "a", 4, 5)]));
  const refusedTooEarly = [at(swap(1, "c"), 0, null, 3, 4), at(read, 1, "a", 5, 6)];
  assert.ok(!isLinearizable([begun, at(set("b"), 2, null, 2, 9), ...refusedTooEarly]));
});

test("what concurrent clients are told of a key is what one register would have told them, one after another", async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(client, { minLength: 2, maxLength: 4 }), fc.scheduler(), async (clients, scheduler) => {
      const store = await openStore({ path: stateFolder(t), mode: "inline" });
      const board = new Blackboard(store, new SimulatedClock("2026-01-01T00:00Z"));
      const history: Operation[] = [];
      let moment = 0;
      let values = 0;
      const run = async (steps: readonly string[]): Promise<void> => {
        let known = 0;
        for (const step of steps) {
          await scheduler.schedule(Promise.resolve(), step);
          const from = moment++;
          const value = `v${values++}`;
          if (step === "read") {
            const found = board.read("k", undefined);
            known = found?.version ?? 0;
            const told = { version: known, value: found?.value ?? null };
            history.push({ asked: { do: "read", ifVersion: 0, value }, told, from, to: moment++ });
            continue;
          }
          const kind = step === "swap-blind" ? "swap" : (step as "set" | "swap" | "delete");
          const ifVersion = step === "swap" ? known : 1;
          const prepared = board.prepare(
            entry(kind === "delete" ? null : value, kind === "swap" ? ifVersion : undefined),
          );
          if (prepared.ok) await store.commit(prepared.value.writes).then(prepared.value.done);
          else await board.settled();
          const version = prepared.ok ? prepared.value.version : 0;
          if (prepared.ok) known = version;
          history.push({ asked: { do: kind, ifVersion, value }, told: { version, value: null }, from, to: moment++ });
        }
      };
      try {
        const all = Promise.all(clients.map(run));
        await scheduler.waitFor(all);
        assert.ok(isLinearizable(history), JSON.stringify(history));
        // Every success is a version of its own, without a gap.
        const given = history.flatMap(({ asked, told }) =>
          asked.do === "read" || !told.version ? [] : [told.version],
        );
        assert.deepEqual(
          given.toSorted((a, b) => a - b),
          given.map((_, at) => at + 1),
        );
      } finally {
        await store.close();
      }
    }),
    { seed: 51, numRuns: 150 },
  );
});
