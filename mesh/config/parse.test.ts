import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { FleetFileError, loadFleet } from "./load.ts";
import { parseFleet } from "./parse.ts";

const folder = mkdtempSync(join(tmpdir(), "cordon-config-"));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, "a.md"), "You are a.");
writeFileSync(join(folder, "long.md"), "x".repeat(64 * 1024 + 1));
mkdirSync(join(folder, "texts"));

const AGENT = "{ model: rehearsal/echo, command: [/bin/a] }";
const HEAD = "version: 1\nfleet: f\n";
const file = (agent: string, more = ""): string => `${HEAD}agents:\n  a: ${agent}\n${more}`;
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
    may: { message: [writer], blackboard: { read: [digest/**], write: [digest/notes/*] }, reach: [], use: [], tools: [files.read] }
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
    rehearsal: null,
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
    may: { message: ["writer"], blackboard: { read: ["digest/**"], write: ["digest/notes/*"] }, tools: ["files.read"] },
  });
  assert.deepEqual(writer?.budget, { day: { tokens: 5 }, month: {} });
  assert.deepEqual(writer?.may, { message: [], blackboard: { read: [], write: [] }, tools: [] });
});

/** Every fault: the text, then where it stands, what is wrong and how to mend it. */
const faults: readonly (readonly [name: string, text: string, expected: RegExp])[] = [
  ["nothing", "", /^1:1 the file is missing or empty/],
  ["not a mapping", "- a", /^1:1 the file has the wrong type/],
  ["broken yaml", `${HEAD}agents: [`, /^3:10 .* -> correct the YAML/],
  ["no version", `fleet: f\nagents: { a: ${AGENT} }`, /^1:1 `version`/],
  ["other version", file(AGENT).replace("1", "2"), /^1:10 `version` .* -> expected one of `1`$/],
  [
    "unknown key at the root",
    file(AGENT, "bugdet: {}"),
    /^5:1 unknown key `bugdet` in the file -> did you mean `budget`\?$/,
  ],
  [
    "unknown key inside",
    file("{ model: rehearsal/echo, command: [/a], zzzzzzzz: 1 }"),
    /^4:46 unknown key `zzzzzzzz` in `agents\.a` -> remove it$/,
  ],
  [
    "wrong type",
    file("{ model: 5, command: [/a] }"),
    /^4:15 `agents\.a\.model` has the wrong type -> expected string$/,
  ],
  ["no agent", `${HEAD}agents: {}`, /^3:9 .* -> must name at least one agent$/],
  ["bad name", `${HEAD}agents: { Bad_Name: ${AGENT} }`, /^3:11 `Bad_Name` is not a name -> must be lower-case/],
  [
    "unknown peer",
    file("{ model: rehearsal/echo, command: [/a], may: { message: [b] } }"),
    /^4:63 no agent `b` -> did you mean `a`\?$/,
  ],
  [
    "itself as peer",
    file("{ model: rehearsal/echo, command: [/a], may: { message: [a] } }"),
    /^4:63 `a` may not message itself -> remove it$/,
  ],
  [
    "unknown tool",
    file("{ model: rehearsal/echo, command: [/a], may: { tools: [shell] } }"),
    /^4:61 .* -> expected one of `files\.list`/,
  ],
  [
    "board as tool",
    file("{ model: rehearsal/echo, command: [/a], may: { tools: [board.read] } }"),
    /^4:61 `board\.read` is granted by .* -> remove it/,
  ],
  [
    "tool without folder",
    file("{ model: rehearsal/echo, command: [/a], may: { tools: [files.read] } }"),
    /^4:61 .* no folder to serve -> set `files\.read`$/,
  ],
  [
    "reach",
    file("{ model: rehearsal/echo, command: [/a], may: { reach: [x.com] } }"),
    /^4:60 .* `reach` is not in this version/,
  ],
  [
    "use",
    file("{ model: rehearsal/echo, command: [/a], may: { use: [key] } }"),
    /^4:58 .* `use` is not in this version/,
  ],
  [
    "glob",
    file("{ model: rehearsal/echo, command: [/a], may: { blackboard: { read: [../x] } } }"),
    /^4:74 .* -> must be a board key/,
  ],
  ["no model", file("{ command: [/a] }"), /^4:6 `a` has no model -> set `model` here or under `defaults`/],
  [
    "unknown provider",
    file("{ model: antropic/x, command: [/a] }"),
    /^4:15 unknown provider `antropic` -> did you mean `anthropic`\?$/,
  ],
  ["model without provider", file("{ model: gpt, command: [/a] }"), /^4:15 .* -> must be `provider\/model`/],
  ["nothing to run", file("{ model: rehearsal/echo }"), /^4:6 an agent needs `instructions` or `command` -> add/],
  [
    "command not absolute",
    file("{ model: rehearsal/echo, command: [sh] }"),
    /^4:40 .* -> must start with an absolute path/,
  ],
  [
    "instructions missing",
    file("{ model: rehearsal/echo, instructions: b.md }"),
    /^4:45 `b\.md` is not a file -> create it/,
  ],
  ["instructions a folder", file("{ model: rehearsal/echo, instructions: texts }"), /^4:45 `texts` is not a file/],
  [
    "instructions too long",
    file("{ model: rehearsal/echo, instructions: long.md }"),
    /^4:45 instructions are too long -> at most 65536 bytes$/,
  ],
  [
    "instructions unreadable",
    file("{ model: rehearsal/echo, instructions: /proc/self/mem }"),
    /^4:45 .* cannot be read/,
  ],
  ["code missing", file("{ model: rehearsal/echo, command: [/a], code: nowhere }"), /^4:52 `nowhere` is not a folder/],
  ["files missing", file(AGENT, "files: { read: nowhere }"), /^5:16 `nowhere` is not a folder/],
  ["rehearsal missing", file(AGENT, "rehearsal: nowhere.yaml"), /^5:12 `nowhere\.yaml` is not a file/],
  ["memory without unit", file(AGENT, "defaults: { sandbox: { memory: 384 } }"), /^5:32 .* -> `384` needs a unit/],
  [
    "memory of a wrong unit",
    file(AGENT, "defaults: { sandbox: { memory: 384mb } }"),
    /^5:32 .* -> `384mb` is not of the form/,
  ],
  ["memory too small", file(AGENT, "defaults: { sandbox: { memory: 1MiB } }"), /^5:32 .* -> must be at least `64MiB`/],
  ["disk too small", file(AGENT, "defaults: { sandbox: { disk: 1kB } }"), /^5:30 .* -> must be at least `1MiB`/],
  ["cpus", file(AGENT, "defaults: { sandbox: { cpus: 0 } }"), /^5:30 .*cpus/],
  ["pids", file(AGENT, "defaults: { sandbox: { pids: 1.5 } }"), /^5:30 .*pids/],
  [
    "isolation not here",
    file("{ model: rehearsal/echo, command: [/a], sandbox: { isolation: gvisor } }"),
    /^4:\d+ isolation `gvisor` is not in this version -> use `container`/,
  ],
  [
    "isolation not known",
    file(AGENT, "defaults: { sandbox: { isolation: none } }"),
    /^5:35 .* -> expected one of `container`/,
  ],
  [
    "money with a unit",
    file(AGENT, "budget: { day: { usd: $2 } }"),
    /^5:23 .* -> `\$2` is not an amount in US dollars/,
  ],
  ["money below nothing", file(AGENT, "budget: { day: { usd: -2 } }"), /^5:23 .* -> `-2` is not an amount/],
  ["tokens", file(AGENT, "budget: { day: { tokens: 2x } }"), /^5:26 .* -> `2x` is not of the form/],
  [
    "tokens as a list",
    file(AGENT, "budget: { day: { tokens: [2] } }"),
    /^5:26 .* has the wrong type -> expected a number or a text/,
  ],
  ["time zone", file(AGENT, "time_zone: Mars/Olympus"), /^5:12 .* -> must be an IANA time zone/],
  [
    "built-in provider",
    file(AGENT, "providers: { openai: { api: openai, base_url: http://x/v1, price: { input: 1, output: 1 } } }"),
    /^5:\d+ `openai` is a built-in provider -> choose another name$/,
  ],
  [
    "provider without price",
    file(AGENT, "providers: { own: { api: openai, base_url: http://x/v1 } }"),
    /^5:\d+ `providers\.own\.price` is missing/,
  ],
  ...["nonsense", "ftp://x/v1", "http://u:p@x/v1", "http://x/v1?key=1", "http://x/v1#a", "'http://x/ v1'"].map(
    (url) =>
      [
        `base url ${url}`,
        file(AGENT, `providers: { own: { api: openai, base_url: ${url}, price: { input: 1, output: 1 } } }`),
        /^5:44 .* -> must be an http or https URL/,
      ] as const,
  ),
  ["the same key twice", file(AGENT, "fleet: g"), /^5:1 the key `fleet` is there twice -> remove one of them$/],
  ["the same agent twice", `${HEAD}agents:\n  a: ${AGENT}\n  "a": ${AGENT}\n`, /^5:3 the key `a` is there twice/],
  ["an alias", file(AGENT, "rehearsal: *x"), /^5:12 /],
  ["an anchor", file(`&x ${AGENT}`), /^4:9 anchors .* -> remove it$/],
  ["a merge key", file(AGENT, "defaults: { <<: { model: rehearsal/echo } }"), /^5:13 unknown key `<<`/],
  ["a core tag", file(AGENT).replace("version: 1", "version: !!int 1"), /^1:16 tags .* -> remove it$/],
  ["a tag of its own", file(AGENT).replace("version: 1", "version: !x 1"), /^1:10 unresolved tag/],
  ["billion laughs", `a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n`, /^1:7 anchors/],
  ["__proto__ at the root", file(AGENT, "__proto__: { fleet: g }"), /^5:1 the key `__proto__` is refused/],
  [
    "__proto__ as agent",
    `${HEAD}agents: { a: ${AGENT}, __proto__: ${AGENT} }`,
    /^3:\d+ the key `__proto__` is refused/,
  ],
  ["a list as key", file(AGENT, "? [a]\n: 1"), /^5:3 a key is a list or a mapping/],
  ["two documents", `${file(AGENT)}---\n${file(AGENT)}`, /^5:1 /],
  ["deep nesting", `a: ${"[".repeat(40)}${"]".repeat(40)}`, /^1:\d+ nested too deeply/],
  ["very deep nesting", `a: ${"[".repeat(5_000)}`, /^1:\d+ nested too deeply/],
];

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
