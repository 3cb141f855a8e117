/**
 * A thousand calls at once, of every kind, by five agents whose caps are worth three calls each and whose fleet's is
 * worth fewer; clients that leave, providers that break, and a mesh that is killed in the middle. Repetitions: three,
 * or CORDON_RACE_REPETITIONS.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openReadOnly } from "../../../mesh/store/open.ts";
import type { AuditRow } from "../../../protocol/desk.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";

const AGENTS = ["ant", "bee", "cat", "dog", "elk"];
const CALLS_EACH = 200;
const CAP_TOKENS = 3_900;
const TEAM_TOKENS = 7_000;
const FLEET_TOKENS = 12_000;
const repetitions = Number(process.env["CORDON_RACE_REPETITIONS"] ?? 3);

/** Every index another mixture: formats, streams, several answers, embeddings, faults, and clients that leave. */
const racer = `
import http from "node:http";
import { tell } from "./prelude.mjs";
const FAULTS = ["", "", "", "fault cut-middle", "fault status-500", "fault usage-missing", "fault overrun", "fault status-429"];
const FORMATS = ["chat", "messages", "chat", "gemini", "responses", "embeddings"];
const asked = (index) => {
  const turn = Math.floor(index / FORMATS.length);
  const text = FAULTS[turn % FAULTS.length] + " count 1000";
  const model = "rehearsal/fault";
  const max = turn % 7 === 0 ? 400 : 1000;
  const stream = turn % 3 !== 0;
  const messages = [{ role: "user", content: text }];
  switch (FORMATS[index % FORMATS.length]) {
    case "chat":
      return ["/openai/v1/chat/completions", { model, max_tokens: max, stream, n: turn % 4 === 0 ? 2 : 1, messages }];
    case "messages":
      return ["/anthropic/v1/messages", { model, max_tokens: max, stream, messages }];
    case "responses":
      return ["/openai/v1/responses", { model, max_output_tokens: max, stream, input: text }];
    case "embeddings":
      return ["/openai/v1/embeddings", { model, input: Array(40).fill("a text of some words") }];
    default:
      return ["/gemini/v1beta/models/" + model + (stream ? ":streamGenerateContent?alt=sse" : ":generateContent"),
        { contents: [{ role: "user", parts: [{ text }] }], generationConfig: { maxOutputTokens: max } }];
  }
};
const call = (index) => new Promise((resolve) => {
  const [path, body] = asked(index);
  const request = http.request({ socketPath: "/run/cordon/door.sock", method: "POST", path, agent: false, headers: { "content-type": "application/json", "anthropic-version": "2023-06-01" } }, (response) => {
    let bytes = 0;
    response.on("data", (piece) => { bytes += piece.length; });
    response.on("close", () => resolve({ path, status: response.statusCode, bytes }));
  });
  request.on("error", () => resolve({ path, status: 0, bytes: 0 }));
  request.end(JSON.stringify(body));
  if (index % 5 === 0) setTimeout(() => request.destroy(), (index * 37) % 400);
});
tell("begun", {});
// Of a thousand calls a few are let through: where each agent begins is left to chance, so that all kinds come first.
const first = Math.floor(Math.random() * 1000);
const ends = await Promise.all(Array.from({ length: ${CALLS_EACH} }, (_, index) => call(first + index)));
const kinds = ends.filter(({ status }) => status === 200).map(({ path }) => path.split("?")[0]);
tell("ended", { calls: ends.length, malformed: ends.filter(({ status }) => status === 400).length, kinds: [...new Set(kinds)] });
setInterval(() => {}, 1e6);
`;

const files = {
  "cordon.yaml": `
version: 1
fleet: race
budget: { day: { tokens: ${FLEET_TOKENS} } }
teams: { swarm: { members: [ant, bee], budget: { hour: { tokens: ${TEAM_TOKENS} } } } }
defaults:
  model: rehearsal/fault
  budget: { day: { tokens: ${CAP_TOKENS} }, month: { usd: 5.00 } }
  sandbox: { cpus: 0.5 }
agents:
${AGENTS.map((name) => `  ${name}: { command: [/bin/node, /code/racer.mjs], code: code }`).join("\n")}
`,
  "code/prelude.mjs": attackerPrelude,
  "code/racer.mjs": racer,
};

const capOf = (scope: string): number => {
  if (scope === "fleet") return FLEET_TOKENS;
  return scope.startsWith("team:") ? TEAM_TOKENS : CAP_TOKENS;
};

/** Adds up the rows on the disk by itself, from a connection of its own; returns the worst share of a cap. */
function watchDisk(mesh: MeshFixture): number {
  const store = openReadOnly(mesh.state);
  try {
    const sums = new Map<string, number>();
    for (const { scope, window, unit, settled, reserved } of store.query.ledger.allCounters()) {
      if (unit !== "tokens" || window === "month" || (window.startsWith("rolling") && !scope.startsWith("team:")))
        continue;
      if (window === "day" && scope.startsWith("team:")) continue;
      const name = `${scope} ${window}`;
      sums.set(name, (sums.get(name) ?? 0) + settled + reserved);
    }
    let worst = 0;
    for (const [name, sum] of sums) {
      const cap = capOf(name.split(" ")[0] ?? "");
      assert.ok(sum <= cap, `${name}: ${sum} of ${cap}`);
      worst = Math.max(worst, sum / cap);
    }
    return worst;
  } finally {
    store.close();
  }
}

function openHolds(mesh: MeshFixture): number {
  const store = openReadOnly(mesh.state);
  try {
    return store.query.ledger.holds().length;
  } finally {
    store.close();
  }
}

async function allRecords(mesh: MeshFixture): Promise<AuditRow[]> {
  const records: AuditRow[] = [];
  for (let after = 0; ;) {
    const page = await mesh.desk.audit(after, 1_000);
    records.push(...page.records);
    if (page.records.length === 0) return records;
    after = page.next;
  }
}

interface Race {
  readonly worst: number;
  readonly cutOff: number;
  /** The routes of calls that were answered. */
  readonly kinds: readonly string[];
}

async function race(repetition: number): Promise<Race> {
  let mesh = await startMesh(files);
  try {
    let samples = 0;
    let worst = 0;
    const look = (): void => {
      worst = Math.max(worst, watchDisk(mesh));
      samples++;
    };
    await eventually("the first burst", async () => (await printed(mesh, "cat", "begun"))[0]);
    // Sometimes with the first call, sometimes when most are over.
    // The first holds may have their end before anybody looks.
    await eventually("the first call", async () => (openHolds(mesh) > 0 || watchDisk(mesh) > 0 ? true : undefined));
    const killAt = performance.now() + ((repetition - 1) % 4) * 60;
    while (performance.now() < killAt) {
      look();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await mesh.kill();
    look();
    const cutOff = openHolds(mesh);
    mesh = await mesh.again();
    await eventually(
      "quiet",
      async () => {
        look();
        const { lines } = await mesh.desk.costs();
        const phases = (await mesh.desk.status()).agents.map((agent) => agent.phase);
        const busy = lines.some((line) => line.reserved > 0) || phases.includes("starting");
        const spent = lines.some((line) => line.scope === "fleet" && line.settled > 0);
        const over = await Promise.all(AGENTS.map(async (name) => (await printed(mesh, name, "ended")).length > 0));
        const done = over.every((ended, index) => ended || phases[index] === "halted");
        return spent && !busy && done ? true : undefined;
      },
      60_000,
    );
    assert.ok(samples > 5, `${samples} samples`);
    await checkBooks(mesh, cutOff);
    const told = (await Promise.all(AGENTS.map((name) => printed(mesh, name, "ended")))).flat();
    assert.deepEqual(
      told.filter(({ malformed }) => malformed !== 0),
      [],
      "every call is one that a client would make",
    );
    return { worst, cutOff, kinds: told.flatMap(({ kinds }) => kinds as string[]) };
  } finally {
    await mesh.stop();
  }
}

/** Every hold has one end, and the totals are what the evidence says: nothing lost, nothing left. */
async function checkBooks(mesh: MeshFixture, cutOff: number): Promise<void> {
  // A call whose client has gone may still be on its way in, and the record of its end a moment behind it.
  const records = await eventually("an end of each hold", async () => {
    const all = await allRecords(mesh);
    const made = all.filter(({ kind }) => kind === "model.reserved").length;
    const ended = all.filter(({ kind }) => kind === "model.settled" || kind === "ledger.recovered").length;
    return made === ended ? all : undefined;
  });
  const ends = new Map<string, number>();
  const tokens = new Map<string, number>();
  for (const { kind, subject, detail } of records) {
    if (kind !== "model.settled" && kind !== "ledger.recovered") continue;
    const hold = String(detail["hold"]);
    ends.set(hold, (ends.get(hold) ?? 0) + 1);
    const agent = (detail["scopes"] as string[] | undefined)?.find((scope) => scope.startsWith("agent:")) ?? subject;
    tokens.set(agent, (tokens.get(agent) ?? 0) + Number(detail["tokens"] ?? 0));
  }
  const made = records.filter(({ kind }) => kind === "model.reserved").map(({ detail }) => String(detail["hold"]));
  assert.ok(made.length >= 5, `${made.length} calls were let through`);
  for (const hold of made) assert.equal(ends.get(hold), 1, `${hold} has one end`);
  assert.equal(ends.size, made.length);
  const recovered = records.filter(({ kind }) => kind === "ledger.recovered");
  assert.equal(recovered.length, cutOff, "what the kill cut off is charged for");
  const { lines } = await mesh.desk.costs();
  const day = (scope: string) => lines.find((l) => l.scope === scope && l.window === "day" && l.unit === "tokens");
  let sum = 0;
  for (const name of AGENTS) {
    assert.equal(day(`agent:${name}`)?.settled ?? 0, tokens.get(`agent:${name}`) ?? 0, `the books of ${name}`);
    sum += tokens.get(`agent:${name}`) ?? 0;
  }
  assert.equal(day("fleet")?.settled, sum, "the fleet's books are the sum of its agents'");
  const team = lines.find((line) => line.scope === "team:swarm" && line.window.startsWith("rolling:"));
  assert.equal(team?.settled, (tokens.get("agent:ant") ?? 0) + (tokens.get("agent:bee") ?? 0));
  assert.equal(openHolds(mesh), 0, "no hold leaks");
  assert.ok((await mesh.desk.verifyAudit()).ok);
}

test(`${repetitions} times a thousand calls at once, killed in the middle: no cap is passed, nothing is lost, nothing leaks`, async (t) => {
  const races = [];
  for (let repetition = 1; repetition <= repetitions; repetition++) races.push(await race(repetition));
  const most = Math.max(...races.map(({ worst }) => worst));
  const cut = races.reduce((sum, { cutOff }) => sum + cutOff, 0);
  t.diagnostic(`the fullest budget ever seen: ${(most * 100).toFixed(1)} %; ${cut} calls were cut off by kills`);
  assert.ok(
    races.some(({ worst }) => worst > 0.9),
    "a cap was really reached",
  );
  assert.ok(new Set(races.flatMap(({ kinds }) => kinds)).size >= 3, "calls of several formats were answered");
  assert.ok(
    races.some(({ cutOff }) => cutOff > 0),
    "a kill cut off calls",
  );
});
