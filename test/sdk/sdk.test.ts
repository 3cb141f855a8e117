/** Official client libraries, unmodified, as guests of real sandboxes: they know environment variables and nothing else. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { eventually, printed, startMesh, type MeshFixture } from "../fleet/running-mesh.ts";

const folder = fileURLToPath(new URL(".", import.meta.url));
const ANSWER = "It is sunny in Paris, the tool says.";
/** What a scripted model says that would call a tool, and has none. */
const PLAIN = "I was not given the tool `weather`, which the step `ask the tool` needs.";

const scenario = `
version: 1
scenario: weather
about: Asks its one tool, and says what came of it.
roles:
  anyone:
    steps:
      - step: report what the tool said
        when: { some: [results.weather] }
        say: "${ANSWER}"
      - step: ask the tool
        call: { tool: weather, arguments: { city: Paris } }
`;

const guest = (name: string): string =>
  `  ${name}: { command: [/bin/node, /code/guests/${name}.mjs], code: "${folder}", sandbox: { cpus: 1, memory: 512MiB } }`;
const guests = ["openai", "anthropic", "gemini", "vercel"];
let mesh: MeshFixture;

before(async () => {
  assert.ok(
    existsSync(new URL("node_modules/openai/package.json", import.meta.url)),
    "the client libraries are not installed: run `npm ci --ignore-scripts` in test/sdk",
  );
  mesh = await startMesh({
    "cordon.yaml": `
version: 1
fleet: clients
rehearsal: rehearsal.yaml
defaults: { model: rehearsal/weather, budget: { day: { tokens: 500k, usd: 20.00 } } }
agents:
${guests.map(guest).join("\n")}
  poor: { command: [/bin/node, /code/guests/openai.mjs], code: "${folder}", budget: { day: { tokens: 20 } }, sandbox: { cpus: 1, memory: 512MiB } }
`,
    "rehearsal.yaml": scenario,
  });
});
after(() => mesh.stop());

async function stepsOf(agent: string): Promise<Record<string, Record<string, unknown>>> {
  await eventually(`the end of ${agent}`, async () => (await printed(mesh, agent, "done"))[0], 90_000).catch(
    async (error: unknown) => {
      throw new Error(`${String(error)}; it printed:\n${(await mesh.desk.logs(agent, 100)).lines.join("\n")}`);
    },
  );
  const steps = await printed(mesh, agent, "step");
  return Object.fromEntries(steps.map((step) => [step["step"], step]));
}
/** What each step found: its text, or the status that it was refused with. */
const outcomes = (steps: Record<string, Record<string, unknown>>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(steps).map(([name, { text, status, error }]) => [name, text ?? status ?? error]));

test("openai", async () => {
  const steps = await stepsOf("openai");
  assert.deepEqual(outcomes(steps), {
    models: "rehearsal/weather",
    ...{ chat: PLAIN, chatStream: PLAIN, chatTools: ANSWER },
    ...{ responses: PLAIN, responsesStream: PLAIN, responsesTools: ANSWER },
    ...{ embeddings: "16 16", bounded: "length", unknownModel: 403 },
    ...{ image: "PNG PNG", imageAuto: "1", speech: 422 },
    ...{ transcription: "6", transcriptionVerbose: "6 3", transcriptionOfMp3: 422 },
  });
  assert.equal(steps["responsesStream"]?.["same"], true);
  assert.equal(steps["image"]?.["usage"], 2 * 272);
  assert.equal(steps["transcription"]?.["usage"], 30);
  assert.match(String(steps["transcriptionOfMp3"]?.["error"]), /cordon: .*convert it: ffmpeg/);
  assert.match(String(steps["speech"]?.["error"]), /cordon: no meter, no route/);
});

test("@anthropic-ai/sdk", async () => {
  const { count, ...found } = outcomes(await stepsOf("anthropic"));
  assert.deepEqual(found, { messages: PLAIN, stream: PLAIN, tools: ANSWER, unknownModel: 403 });
  assert.ok(Number(count) > 0);
});

test("@google/genai", async () => {
  assert.deepEqual(outcomes(await stepsOf("gemini")), {
    ...{ generate: PLAIN, stream: PLAIN, tools: ANSWER },
    ...{ embeddings: "16 16", unknownModel: 403 },
  });
});

test("ai with the providers of OpenAI, Anthropic and Google", async () => {
  const kinds = ["openaiResponses", "openaiChat", "anthropic", "google"];
  const wanted = kinds.flatMap((kind) => [
    [`${kind}Generate`, PLAIN],
    [`${kind}Stream`, PLAIN],
    [`${kind}Tools`, ANSWER],
  ]);
  assert.deepEqual(outcomes(await stepsOf("vercel")), {
    ...Object.fromEntries(wanted),
    ...{ embeddings: "16 16", unknownModel: 403 },
  });
});

/** What the audit holds of one agent's calls to models. */
async function callsOf(agent: string): Promise<{ kind: string; detail: Record<string, unknown> }[]> {
  const { records } = (await mesh.desk.audit(0, 1_000)) as unknown as {
    records: { kind: string; subject: string; detail: Record<string, unknown> }[];
  };
  return records.filter(({ subject }) => subject === `agent:${agent}`);
}

test("a refusal is terminal: no client tries again", async () => {
  for (const agent of guests) {
    await stepsOf(agent);
    const refused = (await callsOf(agent)).filter(({ detail }) => detail["allow"] === false);
    const models = refused.filter(({ detail }) => detail["verb"] === "model.call");
    assert.equal(models.length, agent === "openai" ? 2 : 1, `${agent}: ${JSON.stringify(models)}`);
  }
});

test("an exhausted budget ends each call at its first answer", async () => {
  const steps = outcomes(await stepsOf("poor"));
  const { models: _models, speech: _speech, transcriptionOfMp3: _mp3, ...calls } = steps;
  assert.deepEqual(new Set(Object.values(calls)), new Set([402, 403]));
  const refused = (await callsOf("poor")).filter(({ detail }) => detail["verb"] === "model.call");
  // And the one whose sound cannot be read, which costs nothing.
  assert.equal(refused.length, Object.keys(calls).length + 1, "one record a call");
});

test("every call that was answered is settled, and nothing stays reserved", async () => {
  for (const agent of guests) {
    await stepsOf(agent);
    const calls = await callsOf(agent);
    const reserved = calls.filter(({ kind }) => kind === "model.reserved").map(({ detail }) => detail["hold"]);
    const settled = calls.filter(({ kind }) => kind === "model.settled").map(({ detail }) => detail["hold"]);
    assert.ok(reserved.length >= 4);
    assert.equal(settled.length, reserved.length);
    assert.deepEqual(new Set(settled), new Set(reserved));
  }
  const { lines } = await mesh.desk.costs();
  assert.ok(lines.every(({ reserved }) => reserved === 0));
});
