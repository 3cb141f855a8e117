/** Decisions per second of the pure policy, with a fleet of 100 agents that have 20 globs for each side of the board. */
import { decide, type Action, type Grants, type Matrix } from "../../mesh/policy/decide.ts";

const AGENTS = 100;
const GLOBS = 20;
const ROUNDS_MS = 1_000;

const grantsOf = (agent: number): Grants => ({
  message: Array.from({ length: GLOBS }, (_, at) => `agent-${(agent + at + 1) % AGENTS}`),
  blackboard: {
    read: Array.from({ length: GLOBS }, (_, at) => `team-${agent}/area-${at}/**`),
    write: Array.from({ length: GLOBS }, (_, at) => `team-${agent}/area-${at}/*.md`),
  },
  tools: ["files.list", "files.read"],
  models: ["rehearsal/echo"],
});
const matrix: Matrix = new Map(Array.from({ length: AGENTS }, (_, agent) => [`agent-${agent}`, grantsOf(agent)]));

/** What is asked in each row, by the number of the question; every agent and every glob has its turn. */
const rows: Readonly<Record<string, (n: number) => Action>> = {
  "model.call, allowed": () => ({ verb: "model.call", model: "rehearsal/echo" }),
  "message.send, allowed": (n) => ({ verb: "message.send", to: `agent-${((n % AGENTS) + (n % GLOBS) + 1) % AGENTS}` }),
  "board.read, allowed": (n) => ({ verb: "board.read", key: `team-${n % AGENTS}/area-${n % GLOBS}/2026/notes.md` }),
  "board.write, allowed": (n) => ({ verb: "board.write", key: `team-${n % AGENTS}/area-${n % GLOBS}/notes.md` }),
  "board.write, denied": (n) => ({ verb: "board.write", key: `team-${n % AGENTS}/other/notes.md` }),
};

const results = Object.entries(rows).map(([name, actionOf]) => {
  // Questions are made beforehand, so that only decisions are counted.
  const questions = Array.from({ length: AGENTS * GLOBS }, (_, n) => [`agent-${n % AGENTS}`, actionOf(n)] as const);
  let decisions = 0;
  let allowed = 0;
  const started = performance.now();
  let elapsedMs = 0;
  while (elapsedMs < ROUNDS_MS) {
    for (const [agent, action] of questions) if (decide(matrix, agent, action).allow) allowed++;
    decisions += questions.length;
    elapsedMs = performance.now() - started;
  }
  if (allowed !== (name.endsWith("denied") ? 0 : decisions)) throw new Error(`${name}: wrong decisions`);
  return {
    name,
    perSecond: Math.round((decisions / elapsedMs) * 1_000),
    nsEach: Math.round((elapsedMs / decisions) * 1e6),
  };
});

console.table(
  Object.fromEntries(
    results.map(({ name, perSecond, nsEach }) => [name, { "decisions/s": perSecond, "ns each": nsEach }]),
  ),
);
console.log(JSON.stringify({ benchmark: "decide", agents: AGENTS, globs: GLOBS, results }));
