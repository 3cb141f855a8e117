/** A mesh of an ordinary user that is about to be killed: says when a sandbox is up, or what an earlier one has left. */
import { openHost, runToEnd, specOf, startWatched } from "../sandbox-fixture.ts";

const [installation = "", stateDir = "", what] = process.argv.slice(2);
const host = await openHost({ stateDir, installation });
const volume = "victim";
if (what === "again") {
  await host.backend.sweep();
  const read = `import fs from "node:fs"; fs.appendFileSync("/data/note", "+"); console.log("found", fs.readFileSync("/data/note", "utf8"))`;
  process.stdout.write(await runToEnd(host.backend, read, { volume }));
  console.log("left", host.leftovers().length);
} else {
  const write = `import fs from "node:fs"; fs.writeFileSync("/data/note", "n", { flush: true }); console.log("up"); setInterval(() => {}, 1e6)`;
  const run = await startWatched(host.backend, specOf(write, { volume }));
  await run.until((_, text) => text.includes("up"), 60_000);
  console.log("up");
}
