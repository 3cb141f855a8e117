import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { FleetFileError, loadFleet } from "./load.ts";
import { parseFleet } from "./parse.ts";
import { AGENT, faults, file, HEAD } from "./testing/faults.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-config-"));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "a.md"), "You are a.");
writeFileSync(join(folder, "long.md"), "x".repeat(64 * 1024 + 1));
mkdirSync(join(folder, "texts"));

const fixOf = (text: string): string[] => {
  const parsed = parseFleet(text, folder);
  return parsed.ok ? [] : parsed.error.map((f) => `${f.line}:${f.column} ${f.message} -> ${f.fix}`);
};

test("a fleet with everything in it", () => {
  const text = `
version: 1
fleet: newsroom
time_zone: Europe/Berlin
files: { read: texts, write: out }
budget: { month: { usd: 30.00 } }
blackboard: { append_only: [log/**] }
teams: { desk: { members: [writer], budget: { day: { tokens: 9 } } } }
models: { fast: rehearsal/echo }
prices: { openai/gpt-x: { input: 1.25, output: 10.00, cache_read: 0 } }
providers:
  own: { api: openai, base_url: "http://127.0.0.1:8080/v1/", price: { input: 0.10, output: 0.2 } }
defaults:
  model: own/llama
  budget: { day: { tokens: 200k, usd: 2.00 } }
  sandbox: { memory: 128MiB, cpus: 0.5 }
agents:
  researcher:
    instructions: a.md
    sandbox: { memory: 256MiB, pids: 64 }
    may: { message: [writer], blackboard: { read: [digest/**], write: [digest/notes/*] }, topics: { publish: [news/*] }, reach: [], use: [], tools: [files.read] }
  writer: { command: [/bin/w], model: anthropic/claude-x, budget: { day: { tokens: 5 } } }
`;
  const parsed = parseFleet(text, folder);
  assert.ok(parsed.ok, fixOf(text).join("\n"));
  const { agents, ...fleet } = parsed.value;
  assert.deepEqual(fleet, {
    name: "newsroom",
    timeZone: "Europe/Berlin",
    files: { read: join(folder, "texts"), write: join(folder, "out") },
    budget: { day: {}, month: { usd: 30_000_000 } },
    appendOnly: ["log/**"],
    rehearsal: null,
    schedule: [],
    hooks: [],
    bindings: [],
    web: { ca: null },
    teams: [{ name: "desk", members: ["writer"], budget: { day: { tokens: 9 }, month: {} } }],
    models: new Map([["fast", { provider: "rehearsal", model: "echo" }]]),
    chains: new Map(),
    keys: new Map(),
    prices: [{ provider: "openai", model: "gpt-x", inputRate: 1_250_000, outputRate: 10_000_000, cacheReadRate: 0 }],
    providers: [
      {
        name: "own",
        api: "openai",
        baseUrl: "http://127.0.0.1:8080/v1",
        credential: null,
        price: { input: 100_000, output: 200_000 },
      },
    ],
  });
  const [researcher, writer] = agents;
  assert.deepEqual(researcher, {
    name: "researcher",
    instructions: "You are a.",
    model: { provider: "own", model: "llama" },
    budget: { day: { tokens: 200_000, usd: 2_000_000 }, month: {} },
    limits: { memoryBytes: 256 * 1024 ** 2, cpus: 0.5, pids: 64, diskBytes: 256 * 1024 ** 2 },
    isolation: "container",
    command: null,
    code: null,
    runaway: { identicalCalls: 50, identicalMs: 300_000, spendMicroUsd: 5_000_000, spendMs: 300_000 },
    may: {
      message: ["writer"],
      blackboard: { read: ["digest/**"], write: ["digest/notes/*"] },
      tools: ["files.read"],
      topics: { publish: ["news/*"], subscribe: [] },
      reach: [],
      use: [],
    },
  });
  assert.deepEqual(writer?.budget, { day: { tokens: 5 }, month: {} });
  assert.deepEqual(writer?.may, { message: [], blackboard: { read: [], write: [] }, tools: [] });
});

test("every fault is found where it stands, with the way to mend it", () => {
  const wrong: string[] = [];
  for (const [name, text, expected] of faults) {
    const found = fixOf(text);
    if (!found.some((line) => expected.test(line))) wrong.push(`${name}: ${found.join(" | ") || "accepted"}`);
  }
  assert.deepEqual(wrong, []);
});

test("faults come all at once, in the order of the file", () => {
  assert.deepEqual(
    fixOf(`version: 2\nfleet: F\nagents:\n  a: { model: 5 }\n`).map((line) => line.split(" ")[0]),
    ["1:10", "2:8", "4:15"],
  );
  assert.equal(fixOf(file(AGENT, Array.from({ length: 5_000 }, (_, i) => `k${i}: 1`).join("\n"))).length, 50);
});

test("a file beyond the bound is refused unread; one with the most agents is read in seconds", () => {
  assert.match(fixOf("x".repeat(1024 * 1024 + 1))[0] ?? "", /^1:1 larger than 1048576 bytes/);
  const started = performance.now();
  const agents = Array.from(
    { length: 10_000 },
    (_, i) => `  a${i}: { command: [/a], may: { message: [a${(i + 1) % 10_000}] } }`,
  );
  assert.deepEqual(fixOf(`${HEAD}defaults: { model: rehearsal/echo }\nagents:\n${agents.join("\n")}`), []);
  // Quadratic work on the keys took a minute.
  assert.ok(performance.now() - started < 20_000);
});

test("no text makes it throw", () => {
  const word = fc.constantFrom(
    "version: 1\n",
    "fleet: f\n",
    "agents:\n",
    "  a: ",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<",
    "!!str ",
    "|\n",
    "\n",
    "  ",
    '"',
    "'",
    "model: ",
    "rehearsal/echo",
    "base_url: ",
    "providers:\n",
    "__proto__",
    "\0",
    "\u{1f600}",
    "#",
    "---\n",
    "%YAML 9\n",
  );
  const yaml = fc.array(word, { maxLength: 30 }).map((words) => words.join(""));
  fc.assert(
    fc.property(
      fc.oneof(
        yaml,
        fc.string({ unit: "binary" }),
        yaml.map((text) => file(AGENT, text)),
      ),
      (text) => {
        const parsed = parseFleet(text, folder);
        if (!parsed.ok)
          for (const fault of parsed.error)
            assert.ok(fault.line >= 1 && fault.column >= 1 && fault.message && fault.fix);
      },
    ),
    { seed: 8, numRuns: 1_000 },
  );
});

test("no file tells more faults of its text than anybody mends", () => {
  for (const text of ["x: [}\n", "\t- @\n", "k: 1\n", "%FOO bar\n"]) {
    const parsed = parseFleet(text.repeat(5_000), folder);
    assert.ok(!parsed.ok && parsed.error.length <= 50 && parsed.error.length > 1, text);
  }
  const many = Array.from({ length: 2_000 }, (_, n) => `  a${n}: { command: [/x], may: { message: [zzzzzz${n}] } }`);
  const parsed = parseFleet(
    `version: 1\nfleet: f\ndefaults: { model: rehearsal/echo }\nagents:\n${many.join("\n")}`,
    folder,
  );
  assert.equal(!parsed.ok && parsed.error.length, 50);
});

test("loadFleet names the file in every line, and says how to make one that is missing", () => {
  const path = join(folder, "cordon.yaml");
  writeFileSync(path, "version: 2\nfleet: f\nagents: {}\n");
  assert.throws(
    () => loadFleet(path),
    (error: unknown) => {
      assert.ok(error instanceof FleetFileError);
      assert.ok(error.message.startsWith(`${path}:1:10: `) && error.message.includes(`\n  fix: `));
      return true;
    },
  );
  assert.throws(
    () => loadFleet(join(folder, "none.yaml")),
    /cannot read the fleet file .*\n {2}fix: make one with `cordon init`/s,
  );
  writeFileSync(path, file("{ model: rehearsal/echo, instructions: a.md }"));
  assert.equal(loadFleet(path).agents[0]?.instructions, "You are a.");
});

test("a budget has days, months, rolling windows and destinations; an alias is the model it stands for", () => {
  const budget = "{ hour: { tokens: 5 }, rolling: { 6h: { requests: 7 } }, to: { openai: { day: { bytes: 1kB } } } }";
  const parsed = parseFleet(
    file(`{ model: fast, command: [/bin/a], budget: ${budget} }`, "models: { fast: openai/m }"),
    ".",
  );
  assert.ok(parsed.ok);
  assert.deepEqual(parsed.value.agents[0]?.model, { provider: "openai", model: "m" });
  assert.deepEqual(parsed.value.agents[0]?.budget, {
    day: {},
    month: {},
    rolling: [
      { spanMs: 21_600_000, cap: { requests: 7 } },
      { spanMs: 3_600_000, cap: { tokens: 5 } },
    ],
    destinations: { openai: { day: { bytes: 1_000 }, month: {} } },
  });
});
