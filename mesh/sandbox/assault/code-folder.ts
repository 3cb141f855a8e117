/** The folder that stands at /code in the container: hostile code, its targets, and the programs that make raw system calls. */
import { chmod, copyFile, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { program, rawCalls } from "../probe/elf.js";
import { allowedCalls, forbiddenCalls, forThisMachine } from "../probe/raw-calls.js";

const hostile = fileURLToPath(new URL("hostile", import.meta.url));
const rawCallsFile = fileURLToPath(new URL("../probe/raw-calls.js", import.meta.url));

type Call = readonly (number | bigint)[];
/** Flags that no kernel knows: with no flags at all this call would take away an image that the host has loaded. */
const harmless: Readonly<Record<string, Call>> = { kexec_load: [246, 104, 0, 0, 0, -1] };
const pause: Readonly<Record<string, readonly number[]>> = { x64: [34], arm64: [73, 0, 0, 0, 0, 0] };
/** The same numbers mean other calls in the 32-bit tables: getpid of i386 and of x32, then exit of x86-64. */
const foreign: Readonly<Record<string, string>> = {
  i386: "b814000000cd80b83c00000031ff0f05",
  x32: "b8270000400f05b83c00000031ff0f05",
};
const X86_64 = 62;

/** Fills `folder`; everything in it can be read by any user, for the container's may be any. */
export async function fillCodeFolder(folder: string, target: Readonly<Record<string, unknown>>): Promise<void> {
  const bin = join(folder, "bin");
  await mkdir(bin, { recursive: true });
  await Promise.all([folder, bin].map((each) => chmod(each, 0o755)));
  for (const name of await readdir(hostile)) await copyOpen(join(hostile, name), join(folder, name));
  await copyOpen(rawCallsFile, join(folder, "raw-calls.js"));
  const foreignCalls = process.arch === "x64" ? Object.keys(foreign) : [];
  const told = { ...target, calls: Object.keys(forbiddenCalls), allowedCalls: Object.keys(allowedCalls), foreignCalls };
  await writeOpen(join(folder, "target.json"), JSON.stringify(told), 0o644);
  await writeOpen(join(folder, "package.json"), '{"type":"module"}', 0o644);
  for (const [name, call] of Object.entries({ ...allowedCalls, ...forbiddenCalls, ...harmless })) {
    await writeOpen(join(bin, name), rawCalls([forThisMachine(call)]), 0o755);
  }
  for (const name of foreignCalls) {
    await writeOpen(join(bin, name), program(X86_64, Buffer.from(foreign[name] ?? "", "hex")), 0o755);
  }
  await writeOpen(join(bin, "pause"), rawCalls([pause[process.arch] ?? [0]]), 0o755);
}

async function copyOpen(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  await chmod(to, 0o644);
}

async function writeOpen(path: string, content: string | Buffer, mode: number): Promise<void> {
  await writeFile(path, content);
  await chmod(path, mode);
}
