/** A halt, an operator and the end of a window, on sandboxes that are only counted and a clock that the test turns. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import type { AgentSetting, Fleet } from "../../mesh/config/fleet.ts";
import { Supervisor } from "../../mesh/fleet/supervisor.ts";
import { Monitor } from "../../mesh/monitor/monitor.ts";
import type { SandboxBackend, SandboxEvent } from "../../mesh/sandbox/backend.ts";
import { limits } from "../../protocol/limits.ts";
import { countingIds, noCaps, auditKeys, openCore, SimulatedClock, stateFolder } from "./world.ts";

function counting(): SandboxBackend & { running: number } {
  const backend = {
    name: "counting",
    running: 0,
    shortfalls: () => Promise.resolve([]),
    sweep: () => Promise.resolve([]),
    eraseVolume: () => Promise.resolve(),
    start: ({ id }: { readonly id: string }) => {
      backend.running++;
      const listeners: ((event: SandboxEvent) => void)[] = [];
      const end = (): Promise<void> => {
        backend.running--;
        for (const tell of listeners) tell({ type: "exited", cause: "stopped", exitCode: 0, signal: null });
        return Promise.resolve();
      };
      let gone: Promise<void> | undefined;
      return Promise.resolve({
        id,
        output: Readable.from([]),
        onEvent: (listener: (event: SandboxEvent) => void) => void listeners.push(listener),
        usage: () => Promise.reject(new Error("not measured")),
        exec: () => Promise.reject(new Error("not here")),
        stop: () => (gone ??= end()),
      });
    },
  };
  return backend;
}

for (const stopped of [false, true]) {
  const ends = stopped ? "stays stopped when an operator has stopped it meanwhile" : "starts again";
  test(`a halted agent ${ends}, when its window is over`, async (t) => {
    const path = stateFolder(t);
    const clock = new SimulatedClock("2026-11-22T10:00:00Z");
    const core = await openCore({ path, clock, keys: auditKeys(), caps: () => noCaps });
    t.after(() => core.store.close());
    const backend = counting();
    const setting = { name: "a", isolation: "container", model: { provider: "p", model: "m" }, code: null };
    const supervisor = new Supervisor({
      ...{ ...core, clock, backend, stateFolder: path, ids: countingIds(), monitor: new Monitor(clock) },
      fleet: { agents: [setting as unknown as AgentSetting] } as unknown as Fleet,
      inboxes: new Inboxes(core.store, clock, countingIds(1)),
      topics: new Topics(core.store, clock, countingIds(2)),
      boardNews: { observe: () => undefined, behind: () => new Set() },
      makeDoor: () => ({ listen: () => Promise.resolve(), close: () => Promise.resolve() }),
      forget: () => [],
    });
    const settle = async (): Promise<void> => {
      for (let turn = 0; turn < 50; turn++) await new Promise((next) => setImmediate(next));
    };
    await supervisor.reconcile();
    await supervisor.start();
    assert.equal(backend.running, 1);
    const resetsAtMs = clock.nowMs() + 3_600_000;
    supervisor.halt("a", {
      ...{ scope: "agent:a", window: "day", unit: "usd", cap: 1, settled: 1, left: 0, wanted: 1, resetsAtMs },
    });
    clock.pass(limits.sandbox.stopGraceMs);
    await settle();
    assert.deepEqual([supervisor.runner("a")?.phase, backend.running], ["halted", 0]);
    if (stopped) assert.equal(await supervisor.stopAgent("a"), undefined);
    clock.pass(3_600_000);
    await settle();
    assert.equal(supervisor.halted("a"), undefined);
    assert.deepEqual([supervisor.runner("a")?.phase, backend.running], stopped ? ["stopped", 0] : ["running", 1]);
    await supervisor.stop();
  });
}
