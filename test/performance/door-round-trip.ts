/**
 * Requests at a door on its Unix socket, with the services of a mesh behind it (store thread, audit, board), against
 * a bare node:http server that echoes on one: same client, one request at a time, interleaved, each server in a process of
 * its own. Usage: node test/performance/door-round-trip.ts [--requests N]
 */
import { fork, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { systemClock as clock } from "../../lib/clock.ts";
import { randomId as ids } from "../../lib/id.ts";
import type { Self } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { createAudit } from "../../mesh/audit/create.ts";
import { Blackboard } from "../../mesh/blackboard/blackboard.ts";
import { Inboxes } from "../../mesh/bus/inboxes.ts";
import { loadFleet } from "../../mesh/config/load.ts";
import { Door } from "../../mesh/door/door.ts";
import type { DoorServices } from "../../mesh/door/services.ts";
import { BodyMemory } from "../../mesh/http/body-memory.ts";
import { selvesOf } from "../../mesh/fleet/self.ts";
import { Monitor } from "../../mesh/monitor/monitor.ts";
import { matrixOf } from "../../mesh/policy/matrix.ts";
import { openStore } from "../../mesh/store/open.ts";
import { auditKeys } from "../simulation/world.ts";

const here = fileURLToPath(import.meta.url);
const FLEET = `
version: 1
fleet: bench
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } } }
agents:
  asker: { instructions: a.md, may: { blackboard: { read: [mine/*], write: [mine/*] } } }
`;

/** The door's services without model calls: nothing here reaches a provider. */
async function serveDoors(folder: string): Promise<void> {
  writeFileSync(join(folder, "cordon.yaml"), FLEET);
  writeFileSync(join(folder, "a.md"), "You ask.");
  const fleet = loadFleet(join(folder, "cordon.yaml"));
  const store = await openStore({ path: join(folder, "state") });
  const audit = createAudit({ store, clock, ...auditKeys() });
  const matrix = matrixOf(fleet);
  const services = {
    ...{ clock, ids, matrix, audit, bodies: new BodyMemory() },
    monitor: new Monitor(clock),
    board: new Blackboard(store, clock),
    inboxes: new Inboxes(store, clock, ids),
    selves: new Map<string, Self>(selvesOf(fleet, matrix, new Map())),
    halted: () => undefined,
  } as unknown as DoorServices;
  // A door lets in a bounded number of requests a second; each round is spent at a fresh one.
  const openDoor = async (socketPath: string): Promise<void> => {
    const door = new Door(services, { agent: "asker", sandbox: "sbx_bench" });
    await door.listen(socketPath);
    process.send?.("up");
  };
  process.on("message", (socketPath: string) => void openDoor(socketPath));
  process.send?.("up");
}

function serveEcho(socketPath: string): void {
  const server = createServer((incoming, response) => {
    const pieces: Buffer[] = [];
    incoming
      .on("data", (piece: Buffer) => pieces.push(piece))
      .on("end", () => {
        const body = Buffer.concat(pieces);
        response.writeHead(200, { "content-type": "application/json", "content-length": body.length });
        response.end(body);
      });
  });
  server.listen(socketPath, () => process.send?.("up"));
}

function started(role: string, place: string): Promise<ChildProcess> {
  const child = fork(here, ["--serve", role, "--place", place], {
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  return new Promise((resolve, reject) => {
    child.once("message", () => resolve(child));
    child.once("exit", (code) => reject(new Error(`the ${role} server ended with ${code}`)));
  });
}

function timed(agent: Agent, socketPath: string, method: string, path: string, body: string): Promise<number> {
  const begin = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const headers = body === "" ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const call = request({ agent, socketPath, method, path, headers }, (response) => {
    response.resume().on("end", () => {
      if (response.statusCode === 200) resolve(performance.now() - begin);
      else reject(new Error(`${method} ${path}: ${response.statusCode}`));
    });
  });
  call.on("error", reject);
  call.end(body);
  return promise;
}

async function measure(folder: string, requests: number) {
  const echoSocket = join(folder, "echo.sock");
  const [doors, echo] = [await started("doors", folder), await started("echo", echoSocket)];
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const value = "x".repeat(200);
  const kinds = {
    echo: () => timed(agent, echoSocket, "POST", "/", JSON.stringify({ key: "mine/a", value })),
    self: (door: string) => timed(agent, door, "GET", "/v1/self", ""),
    read: (door: string) => timed(agent, door, "POST", "/v1/tools/board.read", JSON.stringify({ key: "mine/a" })),
    write: (door: string) =>
      timed(agent, door, "POST", "/v1/tools/board.write", JSON.stringify({ key: "mine/a", value })),
  };
  type Kind = keyof typeof kinds;
  const names = Object.keys(kinds) as Kind[];
  const times: Record<Kind, number[]> = { echo: [], self: [], read: [], write: [] };
  const perDoor = Math.floor(limits.door.requestsBurst / names.length);
  const ROUNDS_OF_WARMTH = 1;
  for (let round = 0; round < ROUNDS_OF_WARMTH + Math.ceil(requests / perDoor); round++) {
    const door = join(folder, `${round}.sock`);
    doors.send(door);
    await new Promise((resolve) => doors.once("message", resolve));
    await kinds.write(door);
    for (let n = 0; n < perDoor; n++)
      for (const name of names) {
        const ms = await kinds[name](door);
        if (round >= ROUNDS_OF_WARMTH) times[name].push(ms);
      }
  }
  agent.destroy();
  for (const child of [doors, echo]) child.kill();
  return names.map((name) => {
    const sorted = times[name].toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? Number.NaN;
    return { name, requests: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99) };
  });
}

const text = { type: "string" } as const;
const { values } = parseArgs({ options: { serve: text, place: text, requests: text } });
const { place = "" } = values;
if (values.serve === "doors") await serveDoors(place);
else if (values.serve === "echo") serveEcho(place);
else {
  const folder = mkdtempSync(join(tmpdir(), "cordon-performance-"));
  try {
    const rows = await measure(folder, Number(values.requests ?? 1_000));
    const base = rows[0]?.p50Ms ?? Number.NaN;
    const labels: Record<string, string> = {
      echo: "bare node:http echo",
      self: "door: who am I",
      read: "door: board.read (recorded)",
      write: "door: board.write (durable)",
    };
    console.log(`${"".padEnd(30)}   p50 ms   p99 ms  ratio of medians`);
    for (const { name, p50Ms, p99Ms } of rows)
      console.log(
        `${(labels[name] ?? name).padEnd(30)} ${p50Ms.toFixed(3).padStart(8)} ${p99Ms.toFixed(3).padStart(8)} ${(p50Ms / base).toFixed(2).padStart(8)}`,
      );
    console.log(JSON.stringify({ rows, ratios: Object.fromEntries(rows.map((row) => [row.name, row.p50Ms / base])) }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
