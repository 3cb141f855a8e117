/** LangGraph.js with its SQLite checkpointer: a graph of no-op nodes, every super-step on disk before the next begins. */
import Database from "better-sqlite3";
import { Annotation, END, START, StateGraph } from "@langchain/langgraph";
import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite";

/** `synchronous`: the checkpointer leaves what its driver is built with (NORMAL); FULL is what is durable at each commit. */
export async function open(file, steps, synchronous) {
  const db = new Database(file);
  db.pragma(`synchronous = ${synchronous}`);
  const checkpointer = new SqliteSaver(db);
  const state = Annotation.Root({
    done: Annotation({ reducer: (a, b) => a + b, default: () => 0 }),
  });
  const names = Array.from({ length: steps }, (_, n) => `s${n}`);
  const noop = () => ({ done: 1 });

  const chain = new StateGraph(state);
  for (const name of names) chain.addNode(name, noop);
  names.forEach((name, n) => chain.addEdge(n === 0 ? START : names[n - 1], name));
  chain.addEdge(names.at(-1), END);

  const fan = new StateGraph(state);
  for (const name of names) fan.addNode(name, noop).addEdge(START, name).addEdge(name, END);

  const compiled = { chain: chain.compile({ checkpointer }), fan: fan.compile({ checkpointer }) };
  let threads = 0;
  const pragma = (name) => db.pragma(name, { simple: true });
  return {
    // Read back after the checkpointer has set itself up.
    policy: async () => `journal_mode ${pragma("journal_mode")}, synchronous ${pragma("synchronous")}`,
    async run(kind) {
      const options = { durability: "sync", recursionLimit: steps + 10, configurable: { thread_id: `t${threads++}` } };
      const { done } = await compiled[kind].invoke({ done: 0 }, options);
      if (done !== steps) throw new Error(`LangGraph ran ${done} of ${steps} steps`);
    },
    async close() {
      db.close();
    },
  };
}
