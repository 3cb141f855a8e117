/** DBOS Transact on PostgreSQL: a workflow of no-op steps, each with its row committed before the next begins. */
import { DBOS } from "@dbos-inc/dbos-sdk";

const silent = { debug() {}, info() {}, warn() {}, error: (text) => console.error(text) };

/** `policy`: what its server syncs, as the server says. */
export async function open(url, steps, policy) {
  const noop = () => Promise.resolve(1);
  const chain = DBOS.registerWorkflow(
    async () => {
      let done = 0;
      for (let n = 0; n < steps; n++) done += await DBOS.runStep(noop, { name: `s${n}` });
      return done;
    },
    { name: "chain" },
  );
  const fan = DBOS.registerWorkflow(
    async () => {
      const all = await Promise.all(Array.from({ length: steps }, (_, n) => DBOS.runStep(noop, { name: `s${n}` })));
      return all.length;
    },
    { name: "fan" },
  );
  DBOS.setConfig({ name: "bench", systemDatabaseUrl: url, systemDatabasePoolSize: 20, logger: silent });
  await DBOS.launch();
  return {
    policy: async () => policy,
    async run(kind) {
      const done = await (kind === "chain" ? chain() : fan());
      if (done !== steps) throw new Error(`DBOS ran ${done} of ${steps} steps`);
    },
    close: () => DBOS.shutdown(),
  };
}
