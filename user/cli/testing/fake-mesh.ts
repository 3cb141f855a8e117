/** For tests only: the command line of mesh/main.ts with literal answers; the fleet file holds its Behaviour as JSON. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { systemClock } from "../../../lib/clock.ts";
import { FakeDesk } from "./fake-desk.ts";
import { fakeCosts, fakeSpending, type Behaviour } from "./fake-newsroom.ts";

const { values, positionals } = parseArgs({
  strict: false,
  allowPositionals: true,
  options: string("fleet", "state", "output", "input", "listen", "port", "scenario"),
});
const given = (name: string): string => String(values[name] ?? "");
const [command, ...words] = positionals;

if (command === "serve") await serve();
else if (command === "check") check();
else if (command === "verify") print({ ok: false, records: 9, badSeq: 3, fault: "record is missing" }, 1);
else if (command === "costs") print(fakeCosts({}), 0);
else if (command === "spending") print(fakeSpending, 0);
else if (command === "doctor") doctor();
else if (command === "credential") await credential();
else fail("unknown command", "");

async function serve(): Promise<void> {
  const behaviour = JSON.parse(readFileSync(given("fleet"), "utf8")) as Behaviour;
  if (behaviour.failStart) return fail("the state is in use by another mesh", "stop it with `cordon down`");
  const end = (): void => {
    rmSync(join(given("state"), "desk.sock"), { force: true });
    desk.close();
    process.exit(0);
  };
  const desk = new FakeDesk(given("state"), given("output"), behaviour, end);
  process.on("SIGTERM", end);
  await desk.listen();
  console.log(JSON.stringify({ ready: true }));
  if (behaviour.dieAfterMs !== undefined) {
    await systemClock.sleep(behaviour.dieAfterMs);
    fail("the disk is full", "make room");
  }
}

function check(): void {
  const text = readFileSync(given("fleet"), "utf8");
  if (text.startsWith("{}")) return print({ fleet: "newsroom", agents: ["researcher", "writer"] }, 0);
  console.error(`${given("fleet")}:3:5: unknown key \`modle\`\n  fix: did you mean \`model\``);
  process.exitCode = 1;
}

function doctor(): void {
  print(
    {
      checks: [
        { name: "runtime", ok: true, detail: "runc 1.1.5", fix: "" },
        { name: "cgroups", ok: false, detail: "no pids", fix: "mount it" },
      ],
    },
    1,
  );
}

async function credential(): Promise<void> {
  const [verb, name] = words;
  if (verb === "list")
    return print({ credentials: [{ name: "stored", createdAtMs: 1, version: 2, lastUsedAtMs: null, uses: 3 }] }, 0);
  const value = verb === "add" ? await text(process.stdin) : "";
  if (verb === "add" && value !== "offline value")
    return fail(`unexpected value of ${value.length} bytes for ${name}`, "");
}

function print(value: unknown, code: number): void {
  console.log(JSON.stringify(value));
  process.exitCode = code;
}

function fail(message: string, fix: string): void {
  console.error(`cordon: ${message}\nfix: ${fix}`);
  process.exit(1);
}

function string<T extends string>(...names: readonly T[]): Record<T, { readonly type: "string" }> {
  return Object.fromEntries(names.map((name) => [name, { type: "string" }])) as Record<T, { readonly type: "string" }>;
}
