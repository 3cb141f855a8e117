/** One sandbox spends everything on flooding its door; another agent and the desk must not notice. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import type { AuditRow, MeshEvent } from "../../../protocol/desk.ts";
import { limits } from "../../../protocol/limits.ts";
import { attackerPrelude, eventually, printed, startMesh, type MeshFixture } from "../../fleet/running-mesh.ts";
import { bystander, flooder, holder } from "./flooder.ts";

const RSS_GROWTH_MAX_BYTES = 300 * 1024 ** 2;

let mesh: MeshFixture;
let flooded: Record<string, unknown>;
let worstRss = 0;
let worstFiles = 0;
const quiet = { rss: 0, files: 0, records: 0 };
const desk = { asked: 0, wrong: [] as string[] };
let events: MeshEvent[] = [];
let records: AuditRow[] = [];
let floodMs = 0;

const rss = (): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${mesh.pid}/status`, "utf8"))?.[1]) * 1024;
const openFiles = (): number => readdirSync(`/proc/${mesh.pid}/fd`).length;
const counts = async () =>
  (await printed(mesh, "victim", "count")).at(-1) as { good: number; bad: unknown[] } | undefined;

before(async () => {
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: flood
defaults: { model: rehearsal/echo, budget: { day: { usd: 1000.00 } }, sandbox: { cpus: 0.5 } } # 200 streams that leave before a word are charged in full
agents:
  flooder: { runaway: off, command: [/bin/node, /code/flooder.mjs], code: code, model: rehearsal/counter, may: { message: [victim], blackboard: { read: [flood/*], write: [flood/*] } } }
  victim: { command: [/bin/node, /code/bystander.mjs], code: code, may: { blackboard: { read: [victim/*], write: [victim/*] } } }
`,
    "code/prelude.mjs": attackerPrelude,
    "code/flooder.mjs": flooder,
    "code/hold.mjs": holder,
    "code/bystander.mjs": bystander,
  });
  await eventually("the bystander", async () => ((await counts())?.good ?? 0) > 20 || undefined);
  [quiet.rss, quiet.files, quiet.records] = [rss(), openFiles(), (await mesh.desk.verifyAudit()).records];
  const begin = performance.now();
  await mesh.desk.send("flooder", JSON.stringify({}));
  flooded = await eventually("the flood", askDesk, 120_000);
  floodMs = performance.now() - begin;
  for (let after = 0, page; (page = await mesh.desk.events(after, 0)).events.length > 0; after = page.next)
    events = [...events, ...page.events];
  for (
    let after = quiet.records, page;
    (page = await mesh.desk.audit(after, 1_000)).records.length > 0;
    after = page.next
  )
    records = [...records, ...page.records];
});
after(() => mesh.stop());

/** Goes on through the whole flood: the desk is asked, and the mesh is measured. */
async function askDesk(): Promise<Record<string, unknown> | undefined> {
  worstRss = Math.max(worstRss, rss());
  worstFiles = Math.max(worstFiles, openFiles());
  try {
    const { agents } = await mesh.desk.status();
    const { rows } = await mesh.desk.board("victim/*");
    if (agents.some(({ phase }) => phase !== "running") || rows.length !== 1) desk.wrong.push(JSON.stringify(agents));
  } catch (error) {
    desk.wrong.push(String(error));
  }
  desk.asked++;
  return (await printed(mesh, "flooder", "flooded")).at(-1);
}

const attempts = (): Record<string, Record<string, unknown>> =>
  flooded["done"] as Record<string, Record<string, unknown>>;

test("the flood was one", (t) => {
  t.diagnostic(JSON.stringify({ floodMs: Math.round(floodMs), attempts: attempts() }));
  t.diagnostic(JSON.stringify({ growthMiB: (worstRss - quiet.rss) / 1024 ** 2, files: quiet.files, worstFiles }));
  const { answers } = attempts()["requests"] as { answers: Record<string, number> };
  assert.ok((answers["403"] ?? 0) > limits.door.requestsPerSecond, JSON.stringify(answers));
  assert.ok(worstFiles - quiet.files >= limits.door.connectionsMax * 0.9, `${worstFiles} files were open at most`);
  assert.equal(attempts()["slow heads"]?.["left"], 0, "a head that does not end is not waited for");
});

test("the other agent got a right answer to every request", async () => {
  const now = await eventually("the bystander after the flood", async () => await counts());
  assert.deepEqual(now.bad, []);
  assert.ok(now.good > 100, `${now.good} right answers`);
});

test("the desk answered every request", () => {
  assert.deepEqual(desk.wrong, []);
  assert.ok(desk.asked > 50, `${desk.asked} times`);
});

test("an inbox is bounded", () => {
  const { answers, busy } = attempts()["inbox"] as { answers: Record<string, number>; busy: number };
  assert.equal(answers["200"], limits.message.inboxFromAgentsMax);
  assert.ok(busy > 0 && answers["503"] === busy, JSON.stringify(answers));
});

test("the flood is told of, and not once for each refusal", (t) => {
  const seconds = Math.ceil(floodMs / 1_000);
  const of = (type: string): MeshEvent[] => events.filter((event) => event.type === type && event.agent === "flooder");
  const told = of("door.flood");
  assert.ok(told.some(({ detail }) => detail["what"] === "connections"));
  assert.ok(told.some(({ detail }) => detail["what"] === "requests"));
  assert.ok(told.length <= seconds, `${told.length} events in ${seconds} s`);
  const turnedAway = told.reduce((sum, { detail }) => sum + Number(detail["times"]), 0);
  assert.ok(turnedAway > 1_000, `${turnedAway} turned away`);
  const logs = of("sandbox.log_flood").length;
  assert.ok(logs >= 1 && logs <= seconds, `${logs} events of the log`);
  assert.ok(
    events.some(({ type }) => type === "sandbox.started"),
    "and it hides nothing",
  );
  t.diagnostic(JSON.stringify({ doorFlood: told.length, turnedAway, logFlood: logs }));
});

test("evidence grows no faster than the door lets requests in", (t) => {
  const ofFlooder = records.filter(({ subject }) => subject === "agent:flooder");
  const denied = ofFlooder.filter(({ detail }) => detail["allow"] === false);
  const bytes = ofFlooder.reduce((sum, row) => sum + JSON.stringify(row).length, 0);
  t.diagnostic(
    JSON.stringify({
      records: ofFlooder.length,
      denied: denied.length,
      perSecond: (ofFlooder.length / floodMs) * 1_000,
      bytes,
    }),
  );
  const { requestsBurst, requestsPerSecond } = limits.door;
  // A permitted model call has two records: what it may cost, and what it did.
  assert.ok(ofFlooder.length <= 2 * (requestsBurst + (requestsPerSecond * floodMs) / 1_000));
  assert.ok(denied.length > 50 && denied.length <= requestsBurst + (requestsPerSecond * floodMs) / 1_000);
});

test("the mesh stays small, and lets go of everything", async () => {
  assert.ok(
    worstRss - quiet.rss < RSS_GROWTH_MAX_BYTES,
    `grew by ${Math.round((worstRss - quiet.rss) / 1024 ** 2)} MiB`,
  );
  // Of the thread that copies the store's log when it is first full: its event loop, and the database with its log.
  const copierFiles = 7;
  const few = (): true | undefined => (openFiles() <= quiet.files + copierFiles + 4 ? true : undefined);
  await eventually("the open files", async () => few(), 20_000);
});

test("the flooder itself is served again", () => assert.deepEqual([flooded["served"], flooded["wrote"]], [200, 200]));
