/**
 * The agent as V8 has it quickest: a script whose functions are compiled when the root file system is built. To parse and compile
 * what an agent needs until its first answer takes a third of its time from the start of Node to there, the loader of modules
 * half as much.
 */
import { chmod } from "node:fs/promises";
import { basename } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { runProgram } from "./process.ts";

/** Beside the script; V8 compiles by itself what another version of Node has compiled. */
const COMPILED_END = ".compiled";
export const compiledOf = (script: string): string => `${script}${COMPILED_END}`;

/** A CommonJS module that runs `script` (from `linkScript`), which stands beside it. */
export const starterOf = (script: string): string => `"use strict";
const { readFileSync } = process.getBuiltinModule("node:fs");
const { Script } = process.getBuiltinModule("node:vm");
const filename = __dirname + ${JSON.stringify(`/${basename(script)}`)};
const cachedData = readFileSync(filename + ${JSON.stringify(COMPILED_END)});
new Script(readFileSync(filename, "latin1"), { filename, cachedData }).runInThisContext()((path) => import(path));
`;

/** All functions, since which of them are needed shows only in a sandbox. The flag must be as it was when the result is made. */
const compiler = `
const { readFileSync, writeFileSync } = require("node:fs");
const { setFlagsFromString } = require("node:v8");
const { Script } = require("node:vm");
const [from, to] = process.argv.slice(1);
setFlagsFromString("--no-lazy");
const script = new Script(readFileSync(from, "latin1"), { filename: from });
setFlagsFromString("--lazy");
writeFileSync(to, script.createCachedData(), { flag: "wx" });
`;

/** Compiles `script` by the Node that is going to run it. Nothing of it is run. */
export async function compileScript(nodePath: string, script: string, clock: Clock): Promise<void> {
  const words = ["--input-type=commonjs", "--eval", compiler, script, compiledOf(script)];
  const done = await runProgram(nodePath, words, { clock });
  // Closed to writing like its neighbours, whatever the builder's umask.
  if (done.code === 0) return chmod(compiledOf(script), 0o444);
  const why = /^\w*Error: .*/m.exec(done.stderr)?.[0] ?? `exit code ${done.code}`;
  throw new SandboxError(`the agent could not be compiled: ${why}`, "use node from `npm ci`");
}
