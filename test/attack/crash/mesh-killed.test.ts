/** SIGKILL at ten moments of a real workload, one after the other on one state. Moments are events, not times. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import type { Desk } from "../../../user/cli/desk-client.ts";
import { printedLines, readState, serve, spentIn, verifyOffline, type DoomedMesh } from "../../fleet/doomed-mesh.ts";
import { tracesOf, type Trace } from "../../fleet/host-traces.ts";
import { attackerPrelude, eventually } from "../../fleet/running-mesh.ts";

const writer = `
import { ask, tell } from "./prelude.mjs";
const boot = Date.now().toString(36);
for (let n = 0; ; n++) {
  const key = "load/" + boot + "-" + n;
  const wrote = await ask("POST", "/v1/tools/board.write", { key, value: "value of " + key });
  if (wrote.status === 200) tell("wrote", { key });
  const sent = n % 8 === 0 ? await ask("POST", "/v1/tools/message.send", { to: "reader", body: "about " + key }) : undefined;
  if (sent?.status === 200) tell("sent", { id: JSON.parse(sent.text).result.id });
  await new Promise((resolve) => setTimeout(resolve, 10));
}
`;

const reader = `
import { ask, tell } from "./prelude.mjs";
for (;;) {
  const got = await ask("GET", "/v1/inbox?wait_ms=2000");
  if (got.status !== 200) { await new Promise((resolve) => setTimeout(resolve, 50)); continue; }
  const { id } = JSON.parse(got.text);
  const done = await ask("POST", "/v1/inbox/" + id + "/done", {});
  if (done.status === 204) tell("settled", { id });
}
`;

/**
 * Longer than any test waits: whenever the mesh dies, a stream is under way. It does not go when it is asked to, so that an orderly
 * end has a middle in which some have gone and it has not.
 */
const streamer = `
import http from "node:http";
import { tell } from "./prelude.mjs";
process.on("SIGTERM", () => {});
const body = JSON.stringify({ model: "rehearsal/counter", stream: true, max_tokens: 4000, messages: [{ role: "user", content: "count 4000 pace 50" }] });
const call = () => new Promise((resolve) => {
  let pieces = 0;
  const request = http.request({ socketPath: "/run/cordon/door.sock", method: "POST", path: "/openai/v1/chat/completions", headers: { "content-type": "application/json" }, agent: false }, (response) => {
    response.on("data", () => { if (++pieces === 5) tell("streaming", { status: response.statusCode }); }).on("close", resolve).on("error", resolve);
  });
  request.on("error", resolve);
  request.end(body);
});
for (;;) { await call(); await new Promise((resolve) => setTimeout(resolve, 200)); }
`;

const files: Readonly<Record<string, string>> = {
  "cordon.yaml": `
version: 1
fleet: doomed
budget: { day: { usd: 5.00 } }
defaults: { model: rehearsal/counter, budget: { day: { usd: 4.00 } }, sandbox: { cpus: 0.3, disk: 8MiB } }
agents:
  writer: { command: [/bin/node, /code/writer.mjs], code: code, may: { message: [reader], blackboard: { write: [load/*] } } }
  reader: { command: [/bin/node, /code/reader.mjs], code: code }
  streamer: { command: [/bin/node, /code/streamer.mjs], code: code }
`,
  "code/prelude.mjs": attackerPrelude,
  "code/writer.mjs": writer,
  "code/reader.mjs": reader,
  "code/streamer.mjs": streamer,
};

let folder: string;
let state: string;
/** Acknowledged to somebody outside of the mesh: by id of a message or name of a credential. */
const messages = new Set<string>();
const credentials = new Set<string>();
let recovered = 0;
let mesh: DoomedMesh | undefined;

before(() => {
  folder = mkdtempSync(join(tmpdir(), "cordon-test-"));
  state = join(folder, "state");
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
});
after(async () => {
  await clearHost();
  rmSync(folder, { recursive: true, force: true });
});

const installation = (): string => readState(state, ({ meta }) => meta.get("installation") ?? "");
/** Before the state has an id there is no name that anything could bear. */
const traces = (): Trace[] => (known === undefined ? [] : tracesOf(known, state));
let known: string | undefined;
/** Ids that stood before the mesh that is to be killed was started. */
let stale: ReadonlySet<string> = new Set();
const idsOf = (found: readonly Trace[]): ReadonlySet<string> =>
  new Set(found.filter((trace) => trace.kind !== "loop device").map((trace) => trace.id));
const fresh = (kind: Trace["kind"], prefix: string): Trace[] =>
  traces().filter((trace) => trace.kind === kind && trace.id.startsWith(prefix) && !stale.has(trace.id));

/** As tightly as it can be watched: the moment is over when the mesh goes on. */
async function moment(what: string, seen: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!seen()) {
    assert.ok(performance.now() < deadline, `waited in vain for ${what}`);
    assert.equal(mesh?.words(), "", "the mesh ended by itself");
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const lines = (agent: string, kind: string): Record<string, unknown>[] => printedLines(state, agent, kind);
/** Resolves when the fleet has done, since this call, what a running fleet does. */
async function atWork(): Promise<void> {
  const [wrote, streams] = [lines("writer", "wrote").length, lines("streamer", "streaming").length];
  await eventually("board writes", async () => lines("writer", "wrote").length >= wrote + 10 || undefined, 60_000);
  await eventually("a stream", async () => lines("streamer", "streaming").length > streams || undefined, 60_000);
}

/** Sends or stores without end; ends by itself when the mesh is gone. */
function pour(desk: Desk, one: (desk: Desk, n: number) => Promise<void>): void {
  for (let lane = 0; lane < 4; lane++) {
    void (async () => {
      for (let n = 0; ; n++) await one(desk, n * 4 + lane);
    })().catch(() => undefined);
  }
}

/** Whatever has failed: a start that is ended in order takes away what any earlier one left. */
async function clearHost(): Promise<void> {
  await mesh?.kill();
  if (traces().length === 0) return;
  mesh = serve(folder);
  await mesh.ready;
  mesh.terminate();
  await mesh.exited;
}

/** Messages and credentials of a state that is gone are not missed. */
async function forgetState(): Promise<void> {
  await clearHost();
  rmSync(state, { recursive: true, force: true });
  messages.clear();
  known = undefined;
}

interface Doom {
  readonly at: string;
  /** Agents have worked before the blow, so that there must be something to keep. */
  readonly afterWork: boolean;
  /** On a state that nobody has used before. */
  readonly anew?: boolean;
  strike(mesh: DoomedMesh): Promise<void>;
}

const dooms: readonly Doom[] = [
  {
    at: "the first start, when the database has just been made",
    afterWork: false,
    anew: true,
    strike: () => moment("the database", () => existsSync(join(state, "cordon.sqlite"))),
  },
  {
    at: "the first start, when the key has just been made",
    afterWork: false,
    anew: true,
    strike: () => moment("the key", () => existsSync(join(state, "vault.key"))),
  },
  {
    at: "the start-up probe",
    afterWork: false,
    strike: () => moment("the probe's folder", () => fresh("run folder", "probe_").length > 0),
  },
  {
    at: "the building of an agent's sandbox",
    afterWork: false,
    strike: () => moment("a sandbox's folder", () => fresh("run folder", "sbx_").length > 0),
  },
  {
    at: "board writes",
    afterWork: true,
    strike: () => atWork(),
  },
  {
    at: "the middle of a streamed model call",
    afterWork: true,
    strike: async () => {
      await atWork();
      await moment("an open hold", () => readState(state, ({ ledger }) => ledger.holds().length > 0));
    },
  },
  {
    at: "messages on their way",
    afterWork: true,
    strike: async (mesh) => {
      await atWork();
      const before = messages.size;
      pour(await mesh.desk(), async (desk, n) => {
        messages.add((await desk.send("reader", `message ${n}`)).id);
      });
      await moment("acknowledged messages", () => messages.size >= before + 10);
    },
  },
  {
    at: "credentials being added",
    afterWork: true,
    strike: async (mesh) => {
      await atWork();
      pour(await mesh.desk(), async (desk, n) => {
        await desk.addCredential(`key-${n}`, Buffer.from(`value-of-key-${n}`));
        credentials.add(`key-${n}`);
      });
      await moment("acknowledged credentials", () => credentials.size >= 3);
    },
  },
  {
    at: "the starts of sandboxes, by the runtime",
    afterWork: false,
    strike: () => moment("a process in a sandbox", () => fresh("process", "sbx_").length > 0),
  },
  {
    at: "an orderly end",
    afterWork: true,
    strike: async (mesh) => {
      await atWork();
      const running = fresh("run folder", "sbx_").length;
      mesh.terminate();
      await moment("the first sandbox to go", () => fresh("run folder", "sbx_").length < running);
    },
  },
];

for (const { at, afterWork, anew = false, strike } of dooms) {
  test(`killed during ${at}: the next start has everything, and nothing of the old one is left`, async () => {
    await mesh?.kill();
    if (anew) await forgetState();
    stale = idsOf(traces());
    mesh = serve(folder);
    if (afterWork) await mesh.ready;
    await strike(mesh);
    await mesh.kill();

    const old = traces();
    const wrote = existsSync(join(state, "logs")) ? lines("writer", "wrote").map((line) => String(line["key"])) : [];
    for (const line of lines("writer", "sent")) messages.add(String(line["id"]));
    if (afterWork) assert.ok(wrote.length >= 10 && messages.size > 0, "work was acknowledged before the kill");
    const made = existsSync(join(state, "vault.key"));
    const holds = made ? readState(state, ({ ledger }) => ledger.holds()) : [];
    const spent = made ? spentIn(state) : 0;
    const owed = holds.reduce((sum, hold) => sum + hold.worstMicroUsd, 0);
    if (afterWork) {
      const verdict = await verifyOffline(state);
      assert.equal(verdict.code, 0, verdict.output);
    }

    mesh = serve(folder);
    await mesh.ready;
    known = installation();
    const desk = await mesh.desk();

    const ids = idsOf(old);
    assert.ok(anew || [...ids].some((id) => !stale.has(id)), "the killed mesh left something behind");
    assert.deepEqual(
      traces().filter((trace) => ids.has(trace.id)),
      [],
    );
    const loops = traces().filter((trace) => trace.kind === "loop device");
    assert.equal(new Set(loops.map((trace) => trace.id)).size, loops.length, "one device a volume");

    // Values are sealed on the disk: the desk opens them.
    for (const key of wrote) {
      const { rows } = await desk.board(key);
      assert.equal(rows.find((row) => row.key === key)?.value, `value of ${key}`, key);
    }
    readState(state, ({ messages: inbox, ledger, audit }) => {
      for (const id of messages) assert.equal(inbox.get("default", id)?.recipient, "reader", id);
      const open = new Set(ledger.holds().map((hold) => hold.id));
      const settled = new Set(
        audit
          .page(0, 100_000)
          .filter((record) => record.kind === "ledger.recovered")
          .map((record) => String((JSON.parse(record.detail) as { hold: string }).hold)),
      );
      for (const hold of holds) assert.ok(!open.has(hold.id) && settled.has(hold.id), `hold ${hold.id} has one end`);
    });
    recovered += holds.length;
    assert.ok(spentIn(state) >= spent + owed, "what was open is charged in full, and nothing is forgotten");
    const { lines: budgets } = await desk.costs();
    assert.ok(budgets.length > 0);
    for (const line of budgets) assert.ok(line.cap === null || line.settled + line.reserved <= line.cap);
    const names = (await desk.credentials()).credentials.map((each) => each.name);
    for (const name of credentials) assert.ok(names.includes(name), name);
    const verdict = await desk.verifyAudit();
    assert.ok(verdict.ok, JSON.stringify(verdict));
  });
}

test("after the last one an orderly start and end leave nothing on the host", async () => {
  await mesh?.kill();
  mesh = serve(folder);
  await mesh.ready;
  await atWork();
  assert.ok(traces().length > 0);
  mesh.terminate();
  await mesh.exited;
  assert.deepEqual(traces(), []);
  assert.ok(recovered > 0, "no hold was open at any of the kills");
  assert.ok(credentials.size >= 3);
  assert.equal((await verifyOffline(state)).code, 0);
});
