import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import type { MeshOptions } from "../main.ts";
import { type Isolation, isolations, type SandboxBackend } from "../sandbox/backend.ts";
import { doorsOfUsualEngine } from "../sandbox/docker/topology.ts";
import { surroundingsOf } from "../sandbox/probe-attempts.ts";
import { fenceHolds, probeFence } from "../sandbox/probe.ts";
import { localBackend } from "./machine.ts";

interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly fix: string;
}

const REPORT = "report it as SECURITY.md says; agents do not start here";
/** Versions of Node below which security fixes are missing. */
const NODE_FLOOR = { 24: "24.22.1", 26: "26.12.1" } as const;

/** `doctor`: what this machine can hold, found by trying. Uses a state of its own, which is removed. Exit code 1 when agents cannot run. */
export async function doctor(_options: MeshOptions): Promise<number> {
  const state = mkdtempSync(join(tmpdir(), "cordon-doctor-"));
  try {
    const backend = await localBackend({ installation: randomId.next("i").slice(2, 10), state, clock: systemClock });
    const fence = await checkFence(backend);
    const checks = [checkNode(), ...fence, ...(await dockerLevels(state))];
    process.stdout.write(`${JSON.stringify({ checks })}\n`);
    return fence.every((check) => check.ok) ? 0 : 1;
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
}

/** The level that agents have by default must stand; another one is an offer, which a fleet file may ask for. */
async function checkFence(backend: SandboxBackend): Promise<Check[]> {
  const checks: Check[] = [];
  for (const isolation of isolations) {
    const short = await backend.shortfalls(isolation);
    const what = short.map((each) => each.what).join("; ");
    const fix = [...new Set(short.map((each) => each.remedy))].join("; ");
    if (short.length > 0 && isolation !== "container") {
      checks.push({
        name: `isolation ${isolation}`,
        ok: true,
        detail: `not to be had here: ${what} (${fix})`,
        fix: "",
      });
      continue;
    }
    checks.push({
      name: `isolation ${isolation}`,
      ok: short.length === 0,
      detail: what || `${backend.name} backend`,
      fix,
    });
    if (short.length > 0) return checks;
    checks.push(await aboutDeniedCalls(backend, isolation));
    const results = await probeFence(backend, { clock: systemClock, id: randomId }, isolation);
    await backend.sweep();
    if (!fenceHolds(results, isolation) && results.every((result) => result.stopped)) {
      checks.push({ name: `fence (${isolation})`, ok: false, detail: "the probe did not finish", fix: REPORT });
    }
    for (const result of results) {
      const name = `fence${isolation === "container" ? "" : ` (${isolation})`}: ${result.attempt}`;
      checks.push({ name, ok: result.stopped, detail: result.by, fix: result.stopped ? "" : REPORT });
    }
    for (const [attempt, why] of Object.entries(surroundingsOf[isolation].leftOut)) {
      checks.push({ name: `fence (${isolation}): ${attempt}`, ok: true, detail: `not tried: ${why}`, fix: "" });
    }
  }
  return checks;
}

/** Not a part of the fence: they are refused all the same. */
async function aboutDeniedCalls(backend: SandboxBackend, isolation: Isolation): Promise<Check> {
  const unseen = backend.deniedCallsUnseen ? await backend.deniedCallsUnseen(isolation) : "not by this backend";
  const detail = unseen === null ? "told as `sandbox.syscall_denied`" : `refused, and nobody is told: ${unseen}`;
  return {
    name: `refused system calls${isolation === "container" ? "" : ` (${isolation})`}`,
    ok: true,
    detail,
    fix: "",
  };
}

/** What `backend: docker` would give: an offer, which a fleet file may ask for; its fence is probed when it does. */
async function dockerLevels(state: string): Promise<Check[]> {
  const about = { installation: randomId.next("i").slice(2, 10), state, clock: systemClock };
  const backend = await localBackend({ ...about, backend: { name: "docker", socketPath: null, relay: false } });
  const doors = await doorsOfUsualEngine(systemClock);
  const levels = await Promise.all(
    isolations.map(async (isolation) => {
      const short = await backend.shortfalls(isolation);
      const what = short.map((each) => `${each.what} (${each.remedy})`).join("; ");
      const detail = short.length === 0 ? "to be had with `backend: docker`" : `not to be had here: ${what}`;
      return { name: `docker: isolation ${isolation}`, ok: true, detail, fix: "" };
    }),
  );
  return doors === null ? levels : [...levels, { name: "docker: doors", ok: true, detail: doors, fix: "" }];
}

function checkNode(): Check {
  const [major = 0, minor = 0, patch = 0] = process.versions.node.split(".").map(Number);
  const floor = NODE_FLOOR[major as keyof typeof NODE_FLOOR] ?? "26.12.1";
  const [, floorMinor = 0, floorPatch = 0] = floor.split(".").map(Number);
  const ok = major > 26 || minor > floorMinor || (minor === floorMinor && patch >= floorPatch);
  return {
    name: "node",
    ok,
    detail: process.version,
    fix: ok
      ? ""
      : `security fixes came with ${floor}: install a newer Node, or run \`npm update\` when the platform package has it`,
  };
}
