/** The shared libraries of a program, found by the C library's own loader. */
import { open } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import { SandboxError } from "./backend.ts";
import { runProgram } from "./process.ts";

const PT_INTERP = 3;
const HEADER_BYTES_MAX = 4096;

/** Path inside the root file system → path on the host. Empty for a static program. */
export async function librariesOf(program: string, clock: Clock): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const loader = await interpreterOf(program);
  if (loader === null) return found;
  found.set(loader.slice(1), loader);
  // `--list` maps the libraries and prints where they are; it does not run the program.
  const done = await runProgram(loader, ["--list", program], { clock });
  if (done.code !== 0)
    throw new SandboxError(`\`${loader} --list ${program}\` failed: ${done.stderr.trim()}`, "use node from `npm ci`");
  // Lines of the form `name => /path (0xaddress)`; the kernel's own library has no path.
  const libraries = done.stdout.split("\n").flatMap((line) => {
    const path = line.split(" => ")[1]?.split(" (0x")[0];
    return path?.startsWith("/") ? [path] : [];
  });
  // All go where the C library is: a folder that its loader searches without any configuration file.
  const home = dirname(libraries.find((file) => /\/(libc\.so\.6|libc\.musl-|ld-musl-)/.test(file)) ?? loader);
  for (const file of libraries) if (file !== loader) found.set(join(home, basename(file)).slice(1), file);
  return found;
}

/** PT_INTERP of an ELF64 little-endian file (ELF specification, gABI chapter 5). */
async function interpreterOf(program: string): Promise<string | null> {
  const handle = await open(program);
  try {
    const head = Buffer.alloc(HEADER_BYTES_MAX);
    await handle.read(head, 0, head.length, 0);
    if (head.toString("latin1", 0, 6) !== "\x7fELF\x02\x01") {
      throw new SandboxError(
        `\`${program}\` is not a 64-bit ELF program`,
        "use the node binary itself, not a wrapper script",
      );
    }
    const table = Number(head.readBigUInt64LE(32));
    const size = head.readUInt16LE(54);
    const count = head.readUInt16LE(56);
    for (let at = table; at < table + size * count && at + size <= head.length; at += size) {
      if (head.readUInt32LE(at) !== PT_INTERP) continue;
      const start = Number(head.readBigUInt64LE(at + 8));
      const bytes = Number(head.readBigUInt64LE(at + 32));
      const text = Buffer.alloc(Math.min(bytes, HEADER_BYTES_MAX));
      await handle.read(text, 0, text.length, start);
      return text.toString("latin1").replace(/\0.*$/s, "");
    }
    return null;
  } finally {
    await handle.close();
  }
}
