/** The end of a large fleet, on sandboxes that are only counted. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { Topics } from "../../mesh/bus/topics.ts";
import type { AgentSetting, Fleet } from "../../mesh/config/fleet.ts";
import { Supervisor } from "../../mesh/fleet/supervisor.ts";
import { Monitor } from "../../mesh/monitor/monitor.ts";
import type { SandboxEvent } from "../../mesh/sandbox/backend.ts";
import { countingIds, noCaps, auditKeys, openCore, SimulatedClock, stateFolder } from "./world.ts";

const AGENTS = 100;
/** More at once would keep one another from ending. */
const STOPS_MOST = 32;
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

test("a fleet ends some at a time, and what the kernel would not let go of is asked for once more", async (t) => {
  const path = stateFolder(t);
  const clock = new SimulatedClock("2026-11-22T10:00:00Z");
  const core = await openCore({ path, clock, keys: auditKeys(), caps: () => noCaps });
  t.after(() => core.store.close());
  const seen = { running: 0, stopping: 0, most: 0, started: 0, sweeps: 0 };
  const backend = {
    name: "counting",
    shortfalls: () => Promise.resolve([]),
    sweep: () => Promise.resolve(((seen.sweeps += 1), [])),
    eraseVolume: () => Promise.resolve(),
    start: ({ id }: { readonly id: string }) => {
      seen.running++;
      const stuck = seen.started++ % 50 === 7;
      const listeners: ((event: SandboxEvent) => void)[] = [];
      const end = async (): Promise<void> => {
        seen.most = Math.max(seen.most, ++seen.stopping);
        for (let n = 0; n < 5; n++) await turn();
        seen.stopping--;
        seen.running--;
        for (const tell of listeners) tell({ type: "exited", cause: "stopped", exitCode: 0, signal: null });
        if (stuck) throw new Error("it is not gone");
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
  const agents = Array.from({ length: AGENTS }, (_, n) => ({
    ...{ name: `a${n}`, isolation: "container", model: { provider: "p", model: "m" }, code: null },
  }));
  const supervisor = new Supervisor({
    ...{ ...core, clock, backend, stateFolder: path, ids: countingIds(), monitor: new Monitor(clock) },
    fleet: { agents: agents as unknown as AgentSetting[] } as unknown as Fleet,
    inboxes: new Inboxes(core.store, clock, countingIds(1)),
    topics: new Topics(core.store, clock, countingIds(2)),
    boardNews: { observe: () => undefined, behind: () => new Set() },
    makeDoor: () => ({ listen: () => Promise.resolve(), close: () => Promise.resolve() }),
    forget: () => [],
  });
  await supervisor.reconcile();
  await supervisor.start();
  assert.deepEqual([seen.running, seen.sweeps], [AGENTS, 1]);
  await supervisor.stop();
  assert.equal(seen.running, 0);
  assert.ok(seen.most > 1 && seen.most <= STOPS_MOST, `${seen.most} at a time`);
  assert.equal(seen.sweeps, 2);
});
