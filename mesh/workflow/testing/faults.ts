import { HEAD } from "./plans.ts";

const steps = (text: string, head = ""): string => `${HEAD}${head}steps:\n${text}`;
const THINK = "agent: clean, task: think";
const S = "{ type: object, properties: { n: { type: integer }, s: { type: string } }, required: [n] }";

/** Every mistake: its name, the file, and what is found first, with its place. */
export const faults: readonly (readonly [name: string, text: string, expected: RegExp])[] = [
  ["nothing", "", /^error form 1:1 the file is missing or empty/],
  ["broken yaml", `${HEAD}steps: [`, /^error form 3:9 /],
  [
    "another version",
    steps(`  a: { ${THINK} }`).replace("1", "2"),
    /^error form 1:11 `workflow` .*expected one of `1`/,
  ],
  [
    "unknown key",
    steps(`  a: { ${THINK}, tiemout: 1s }`),
    /^error form 4:35 unknown key `tiemout` .* -> did you mean `timeout`\?/,
  ],
  [
    "key of another kind",
    steps(`  a: { wait: { for: 1s }, retry: { attempts: 2 } }`),
    /^error form 4:27 `retry` means nothing in a step of kind `wait`/,
  ],
  ["no kind", steps(`  a: { needs: [] }`), /^error kind 4:6 the step does nothing/],
  ["two kinds", steps(`  a: { ${THINK}, wait: { for: 1s } }`), /^error kind 4:6 the step has 2 kinds: agent, wait/],
  ["a task is missing", steps("  a: { agent: clean }"), /^error form 4:8 a step of kind `agent` needs `task`/],
  ["no unit", steps(`  a: { ${THINK}, timeout: 30 }`), /^error form 4:45 .*needs a unit|^error form 4:\d+ /],
  ["unknown agent", steps("  a: { agent: claen, task: x }"), /^error agent 4:15 `claen` is not an agent/],
  [
    "cycle",
    steps(`  a: { ${THINK}, needs: [b] }\n  b: { ${THINK}, needs: [c] }\n  c: { ${THINK}, needs: [a] }`),
    /^error cycle 4:42 a cycle: `a` -> `b` -> `c` -> `a`/,
  ],
  ["cycle of itself", steps(`  a: { ${THINK}, needs: [a] }`), /^error cycle 4:42 a cycle: `a` -> `a`/],
  [
    "unknown need",
    steps(`  fetch: { ${THINK} }\n  b: { ${THINK}, needs: [fetsh] }`),
    /^error reference 5:43 no step `fetsh` -> did you mean `fetch`\?/,
  ],
  [
    "reference to a later step",
    steps('  a: { agent: clean, task: "${{ steps.b.output }}" }\n  b: { agent: clean, task: x, needs: [a] }'),
    /^error later 4:28 `steps\.b\.output` is only known later: `b` needs `a`/,
  ],
  [
    "reference to itself",
    steps('  a: { agent: clean, task: "${{ steps.a.output }}" }'),
    /^error later 4:28 .*own output/,
  ],
  [
    "reference without need",
    steps('  a: { agent: clean, task: x }\n  b: { agent: clean, task: "${{ steps.a.output }}" }'),
    /^error reference 5:28 .*need not be known yet.* -> add `a` to `needs`/,
  ],
  [
    "reference to no step",
    steps('  a: { agent: clean, task: "${{ steps.z.output }}" }'),
    /^error reference 4:28 .*no step `z`/,
  ],
  [
    "reference to nothing",
    steps('  a: { agent: clean, task: "${{ env.HOME }}" }'),
    /^error reference 4:28 .*starts with none of/,
  ],
  [
    "code as reference",
    steps('  a: { agent: clean, task: "${{ process.exit() }}" }'),
    /^error reference 4:28 .*not a reference/,
  ],
  ["open reference", steps('  a: { agent: clean, task: "${{ input.a" }'), /^error reference 4:28 .*not closed/],
  [
    "later in a condition",
    steps(`  a: { ${THINK}, when: "steps.b.output == 'x'" }\n  b: { ${THINK}, needs: [a] }`),
    /^error later 4:41 /,
  ],
  ["broken condition", steps(`  a: { ${THINK}, when: "1 +" }`), /^error condition 4:41 the condition cannot be read/],
  [
    "costly condition",
    steps(`  a: { ${THINK}, when: "'a'.matches('(a+)+$')" }`),
    /^error condition 4:41 `matches` is not for conditions/,
  ],
  [
    "never",
    steps(`  a: { ${THINK}, when: "1 > 2" }`),
    /^error unreachable 4:41 `a` is never reached: its condition is never true/,
  ],
  [
    "needs what is never reached",
    steps(`  a: { ${THINK}, when: "false" }\n  b: { ${THINK}, needs: [a] }`),
    /error unreachable 5:6 `b` is never reached: nor is `a`/,
  ],
  [
    "too many of",
    steps(`  a: { ${THINK} }\n  b: { ${THINK}, needs: [a], join: { n_of: 2 } }`),
    /^error unreachable 5:53 2 of 1 needs/,
  ],
  [
    "standby that is needed",
    steps(`  a: { ${THINK}, on_error: fallback, fallback: b }\n  b: { ${THINK} }\n  c: { ${THINK}, needs: [b] }`),
    /^error standby 6:43 `b` runs only for `a`/,
  ],
  [
    "standby of two",
    steps(`  a: { ${THINK}, compensate: c }\n  b: { ${THINK}, compensate: c }\n  c: { ${THINK} }`),
    /^error standby 5:47 `c` already stands by `a`/,
  ],
  [
    "fallback without a name",
    steps(`  a: { ${THINK}, on_error: fallback }`),
    /^error form 4:45 `fallback` names no step/,
  ],
  [
    "schema beyond the subset",
    steps(`  a: { ${THINK}, output: { type: object, patternProperties: {} } }`),
    /^error schema .*`patternProperties` is not in the subset/,
  ],
  [
    "schema elsewhere",
    steps(`  a: { ${THINK}, output: { $ref: "http://x/y" } }`),
    /^error schema .*must be `#\/\$defs\/NAME`/,
  ],
  [
    "slow pattern",
    steps(`  a: { ${THINK}, output: { type: string, pattern: "^(a+)+$" } }`),
    /^error schema .*has `\(`/,
  ],
  [
    "ambiguous pattern",
    steps(`  a: { ${THINK}, output: { type: string, pattern: "^a*a*$" } }`),
    /^error schema .*more than one way/,
  ],
  [
    "type mismatch",
    steps(
      `  a: { ${THINK}, output: ${S} }\n  b: { ${THINK}, needs: [a], input: { type: string }, with: "\${{ steps.a.output.n }}" }`,
    ),
    /^error type 5:\d+ `with` does not fit the step's `input`: it is integer, and string is wanted/,
  ],
  [
    "no such member",
    steps(`  a: { ${THINK}, output: ${S} }\n  b: { agent: clean, task: "\${{ steps.a.output.m }}", needs: [a] }`),
    /^error type 5:28 `steps\.a\.output\.m`: there is no `m`/,
  ],
  [
    "member that need not be there",
    steps(`  a: { ${THINK}, output: ${S} }\n  b: { agent: clean, task: "\${{ steps.a.output.s }}", needs: [a] }`),
    /^error type 5:28 .*`s` need not be there/,
  ],
  [
    "member of a text",
    steps(`  a: { ${THINK} }\n  b: { agent: clean, task: "\${{ steps.a.output.x }}", needs: [a] }`),
    /^error type 5:28 .*there is no `x`/,
  ],
  [
    "null of a step that can be skipped",
    steps(
      `  a: { ${THINK}, when: "input.go == true", output: ${S} }\n  b: { agent: clean, task: "\${{ steps.a.output.n }}", needs: [a], join: settled }`,
      "input: { type: object, properties: { go: { type: boolean } } }\n",
    ),
    /error type 6:28 .*can be null before `n`/,
  ],
  [
    "wrong arguments of a tool",
    steps("  a: { tool: files.read, as: reader, with: { file: x } }"),
    /^error type 4:\d+ `with` does not fit the tool `files\.read`: `path` is missing/,
  ],
  [
    "no list to map over",
    steps(
      `  a: { map: { over: "\${{ input.n }}", each: { ${THINK} } } }`,
      "input: { type: object, properties: { n: { type: integer } }, required: [n] }\n",
    ),
    /^error type 5:\d+ `over` does not fit a map: it is integer/,
  ],
  [
    "input that does not fit",
    steps(`  a: { ${THINK} }`, "input: { type: object, properties: { n: { type: integer } }, required: [n] }\n"),
    /^error input 3:8 the input does not fit: `n`/,
  ],
  [
    "undeclared tool",
    steps("  a: { agent: clean, task: x, may: { tools: [files.read] } }"),
    /^error permission 4:36 `clean` has no tool `files\.read` -> add `files\.read` to `agents\.clean\.may\.tools`/,
  ],
  [
    "tool without permission",
    steps("  a: { tool: output.write, as: reader, with: { path: a, content: b } }"),
    /^error permission 4:14 `reader` has no tool `output\.write`/,
  ],
  [
    "key without permission",
    steps("  a: { tool: board.write, as: keeper, with: { key: other/a, value: b } }"),
    /^error permission 4:14 `keeper` may not write board key `other\/a`/,
  ],
  [
    "pattern wider than the agent's",
    steps('  a: { agent: keeper, task: x, may: { blackboard: { write: ["notes/**"] } } }'),
    /^error permission 4:37 .*may not write all of the board keys `notes\/\*\*`/,
  ],
  [
    "message to a stranger",
    steps("  a: { agent: reader, task: x, may: { message: [keeper] } }"),
    /^error permission 4:37 `reader` may not message `keeper`/,
  ],
  [
    "open key",
    steps('  a: { tool: board.write, as: keeper, with: { key: "${{ run.id }}", value: b } }'),
    /^error permission 4:\d+ `key` is not known before the run/,
  ],
  [
    "tainted text into a file",
    steps(
      '  a: { tool: files.read, as: reader, with: { path: a.md } }\n  b: { tool: output.write, as: writer, needs: [a], with: { path: b.md, content: "${{ steps.a.output.content }}" } }',
    ),
    /^error flow 5:58 `files\.read` -> `a` -> `output\.write` in `b`: untrusted data can leave here -> need an `approve` step/,
  ],
  [
    "agent that reads and writes out",
    steps(
      '  a: { tool: files.read, as: reader, with: { path: a.md } }\n  b: { agent: writer, task: x, needs: [a], with: { t: "${{ steps.a.output.content }}" }, may: { tools: [output.write] } }',
    ),
    /^error flow 5:\d+ `files\.read` -> `a` -> `output\.write` by `writer` in `b`/,
  ],
  [
    "agent that remembers",
    steps("  b: { agent: writer, task: x, may: { tools: [output.write] } }"),
    /^error flow 4:37 the memory of `writer`, which elsewhere reads what `reader` leaves it/,
  ],
  [
    "webhook to a file",
    steps(
      '  b: { tool: output.write, as: writer, with: { path: b.md, content: "${{ input.t }}" } }',
      "started_by: [webhook]\ninput: { type: object, properties: { t: { type: string } }, required: [t] }\n",
    ),
    /error flow 6:46 the input of a webhook -> `output\.write`/,
  ],
  [
    "cap above the run's",
    steps(`  a: { ${THINK}, budget: { tokens: 2k } }`, "budget: { tokens: 1k }\n"),
    /error cap 5:53 the cap of 2000 tokens cannot hold: the run has 1000/,
  ],
  [
    "cap above the agent's",
    steps(`  a: { ${THINK}, budget: { tokens: 200k } }`),
    /^error cap 4:53 the cap of 200000 tokens cannot hold: the day of `clean` has 100000/,
  ],
  [
    "cap above the fleet's",
    steps(`  a: { ${THINK} }`, "budget: { usd: 6.00 }\n"),
    /error cap 3:16 the cap of \$6\.00 cannot hold: the day of the fleet has \$5\.00/,
  ],
  [
    "cap that pays no call",
    steps(`  a: { ${THINK}, budget: { tokens: 20 } }`),
    /^error cap 4:53 20 tokens pay no single call of `clean`/,
  ],
  [
    "topic that is not granted",
    steps("  a: { tool: bus.publish, as: caller, with: { topic: gossip/x, body: hi } }"),
    /^error permission 4:14 `caller` may not publish on topic `gossip\/x` -> add `gossip\/x` to `agents\.caller\.may\.topics\.publish`/,
  ],
  [
    "topic with a hole that is wider than the grant",
    steps('  a: { tool: bus.publish, as: caller, with: { topic: "${{ run.id }}/x", body: hi } }'),
    /^error permission 4:14 `caller` may not publish on all of the topics `\*\/x`/,
  ],
  [
    "topic that is wholly open",
    steps('  a: { wait: { topic: "${{ run.id }}" }, as: caller }'),
    /^error permission 4:23 the topic is not known before the run/,
  ],
  [
    "wait on a topic that is not granted",
    steps("  a: { wait: { topic: news/x }, as: clean }"),
    /^error permission 4:23 `clean` may not subscribe to topic `news\/x`/,
  ],
  [
    "wait on a topic by nobody",
    steps("  a: { wait: { topic: news/x } }"),
    /error form 4:14 it is not said who reads the topic -> add `as: AGENT`/,
  ],
  [
    "sender without a topic",
    steps("  a: { wait: { for: 1s, from: clean } }"),
    /^error form 4:\d+ `from` belongs to `topic`/,
  ],
  [
    "position that is a text",
    steps("  a: { wait: { topic: news/x, after: soon }, as: caller }"),
    /^error type 4:38 it does not fit a position/,
  ],
  [
    "tool of a subscription",
    steps("  a: { tool: bus.pull, as: caller, with: { topic: news/x } }"),
    /^error permission 4:14 `bus\.pull` belongs to a subscription.* -> wait for a message by/,
  ],
  [
    "topic to a file",
    steps(
      "  a: { wait: { topic: news/x }, as: caller }\n" +
        '  b: { tool: output.write, as: writer, needs: [a], with: { path: b.md, content: "${{ steps.a.output.body }}" } }',
    ),
    /^error flow 5:58 messages on topic `news\/x` -> `a` -> `output\.write` in `b`/,
  ],
];
