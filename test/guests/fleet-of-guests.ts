/** The guests of examples/guests in one fleet on a real mesh, with a provider that wants a key which none of them may see. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { systemClock } from "../../lib/clock.ts";
import { Secret } from "../../lib/redact.ts";
import { parseScenario } from "../../mesh/rehearsal/scenario/parse.ts";
import { startRehearsal } from "../../mesh/rehearsal/rehearsal.ts";
import { eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";
import { filesHolding, memoryHolding, sandboxProcesses } from "../fleet/search.ts";

export const guestsFolder = fileURLToPath(new URL("../../examples/guests", import.meta.url));
export const ANSWER = "It is sunny in Paris, and it is noted.";

type Step = Readonly<Record<string, unknown>>;
type Agents = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

export interface GuestFleet {
  readonly mesh: MeshFixture;
  readonly canary: string;
  /** What a guest has told, by step, when it has told that it is done. */
  stepsOf(guest: string): Promise<Readonly<Record<string, Step>>>;
  close(): Promise<void>;
}

/** Takes each guest's own fleet file; only the provider is another one, and it wants a credential. */
export async function startGuests(guests: readonly string[]): Promise<GuestFleet> {
  const canary = `cordon-canary-${randomBytes(16).toString("hex")}`;
  const scenario = parseScenario(readFileSync(join(guestsFolder, "rehearsal.yaml"), "utf8"));
  assert.ok(scenario.ok);
  const upstream = await startRehearsal({
    listen: { host: "127.0.0.1", port: 0 },
    scenarios: [scenario.value],
    apiKey: new Secret(Buffer.from(canary)),
    seed: "guests",
    clock: systemClock,
  });
  const { port } = upstream.listen as { port: number };
  const agents = Object.assign({}, ...guests.map(agentsOf)) as Agents;
  const fleet = {
    version: 1,
    fleet: "guests",
    providers: {
      upstream: {
        api: "openai",
        base_url: `http://127.0.0.1:${port}/v1`,
        credential: "canary",
        price: { input: 1, output: 1 },
      },
    },
    defaults: { model: "upstream/weather", budget: { day: { tokens: "500k", usd: 5 } } },
    agents,
  };
  const mesh = await withCredential(fleet, canary).catch(async (error: unknown) => {
    await upstream.close();
    throw error;
  });
  const stepsOf = async (guest: string): Promise<Readonly<Record<string, Step>>> => {
    const isDone = async (): Promise<Step | undefined> =>
      (await printed(mesh, guest, "guest")).find(({ step }) => step === "done");
    await eventually(`the end of ${guest}`, isDone, 120_000).catch(async (error: unknown) => {
      throw new Error(`${String(error)}; it printed:\n${(await mesh.desk.logs(guest, 100)).lines.join("\n")}`);
    });
    return Object.fromEntries((await printed(mesh, guest, "guest")).map((step) => [String(step["step"]), step]));
  };
  const close = async (): Promise<void> => {
    await mesh.stop();
    await upstream.close();
  };
  return { mesh, canary, stepsOf, close };
}

/** The credential before the guests: each lives once, and what is on record of it is one life's. */
async function withCredential(fleet: Readonly<Record<string, unknown>>, canary: string): Promise<MeshFixture> {
  const agents = { nobody: { instructions: "idle.md" } };
  const empty = await startMesh({ "cordon.yaml": stringify({ ...fleet, agents }), "idle.md": "Wait.\n" });
  await empty.desk.addCredential("canary", Buffer.from(canary));
  await empty.end();
  writeFileSync(join(empty.folder, "cordon.yaml"), stringify(fleet));
  return empty.again();
}

function agentsOf(guest: string): Agents {
  const folder = join(guestsFolder, guest);
  const text = readFileSync(join(folder, "cordon.yaml"), "utf8").replaceAll("rehearsal/weather", "upstream/weather");
  const { agents } = parse(text) as { readonly agents: Agents };
  return Object.fromEntries(
    Object.entries(agents).map(([name, agent]) => [name, { ...agent, code: resolve(folder, String(agent["code"])) }]),
  );
}

/** What frameworks, interpreters and tools do of their own accord must not look like an attempt to get out. */
export async function assertTakenForHonest({ mesh }: GuestFleet): Promise<void> {
  const seen = [];
  for (let next = 0; ;) {
    const page = await mesh.desk.events(next, 0);
    if (page.events.length === 0) break;
    seen.push(...page.events);
    next = page.next;
  }
  assert.ok(seen.some(({ type }) => type === "sandbox.started"));
  assert.deepEqual(
    seen.filter(({ type }) => type === "sandbox.syscall_denied"),
    [],
  );
}

/** Environment and memory of every process of the fleet's sandboxes, and every file of its state. */
export async function assertNoSecret({ mesh, canary }: GuestFleet, atLeast: number): Promise<void> {
  const processes = sandboxProcesses(mesh.installation);
  assert.ok(processes.length >= atLeast, `${processes.length} processes were searched`);
  const environments = processes.map((pid) => readIfThere(`/proc/${pid}/environ`));
  assert.ok(
    environments.some((text) => text.includes("OPENAI_API_KEY=cordon_ph_")),
    "the search sees what guests are given",
  );
  for (const [n, pid] of processes.entries()) {
    assert.equal(environments[n]?.includes("cordon-canary-"), false, `environment of ${pid}`);
    assert.equal(memoryHolding(pid, canary), false, `memory of ${pid}`);
  }
  assert.ok(memoryHolding(process.pid, canary), "the search knows what it looks for");
  assert.deepEqual(filesHolding(mesh.state, canary), []);
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
