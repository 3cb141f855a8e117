/** Run as a process of its own by the tests: owns the state in argv[2], says `open`, then writes until it is killed. */
import { openStore } from "../../mesh/store/open.ts";

const [, , path, first] = process.argv;
const store = await openStore({ path: String(path) });
process.stdout.write("open\n");
if (first === undefined) setInterval(() => {}, 1_000);
else for (let i = Number(first); ; i += 50) await Promise.all(Array.from({ length: 50 }, (_, j) => write(i + j)));

/** What is printed was acknowledged. */
async function write(n: number): Promise<void> {
  await store.commit([
    ["meta.set", `row ${n}`, String(n)],
    ["meta.set", `twin ${n}`, String(n)],
  ]);
  process.stdout.write(`${n}\n`);
}
