/** What a specification must be before anything is built for it. */
import { realpath, stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { SandboxError, type SandboxSpec } from "./backend.ts";
import { fixedEnvironment } from "./bundle.ts";
import { isSandboxId, isVolumeName } from "./places.ts";
import { seccompFor } from "./seccomp.ts";

const fail = (what: string, remedy: string): never => {
  throw new SandboxError(what, remedy);
};

/** Throws SandboxError; returns the resolved code folder. */
export async function checkSpec(spec: SandboxSpec): Promise<string | null> {
  if (!seccompFor(process.arch)) fail(`no system-call list for \`${process.arch}\``, "use an x86-64 or arm64 machine");
  if (!isSandboxId(spec.id)) fail(`sandbox id \`${spec.id}\` is refused`, "use 1 to 60 of `a-z`, `0-9`, `_` and `-`");
  if (!isVolumeName(spec.volume)) {
    fail(`volume name \`${spec.volume}\` is refused`, "use 1 to 60 of `a-z`, `0-9`, `_` and `-`");
  }
  checkLimits(spec.limits);
  checkCommand(spec.command);
  checkEnvironment(spec.environment);
  return spec.codeFolder === null ? null : checkCodeFolder(spec.codeFolder);
}

function checkLimits({ memoryBytes, cpus, pids, diskBytes }: SandboxSpec["limits"]): void {
  const { memoryBytesMin, diskBytesMin } = limits.sandbox;
  if (!Number.isSafeInteger(memoryBytes) || memoryBytes < memoryBytesMin) {
    fail(`memory of ${memoryBytes} bytes is refused`, `give a sandbox at least ${memoryBytesMin} bytes`);
  }
  if (!Number.isSafeInteger(diskBytes) || diskBytes < diskBytesMin) {
    fail(`disk of ${diskBytes} bytes is refused`, `give a sandbox at least ${diskBytesMin} bytes`);
  }
  if (!(cpus >= 0.01 && cpus <= 1024))
    fail(`\`${cpus}\` cpus are refused`, "give a sandbox between 0.01 and 1024 cpus");
  if (!Number.isSafeInteger(pids) || pids < 1 || pids > 1e6) {
    fail(`\`${pids}\` pids are refused`, "give a sandbox between 1 and 1000000 pids");
  }
}

export function checkCommand(command: readonly string[]): void {
  const { commandWordsMax, commandBytesMax } = limits.sandbox;
  const bytes = command.reduce((sum, word) => sum + Buffer.byteLength(word) + 1, 0);
  if (command.length > commandWordsMax || bytes > commandBytesMax || command.some((word) => word.includes("\0"))) {
    fail("command is too long or holds a NUL", `keep it under ${commandWordsMax} words and ${commandBytesMax} bytes`);
  }
  if (!command[0] || !isAbsolute(command[0])) {
    fail(
      `command \`${command[0] ?? ""}\` is not an absolute path`,
      "write the program's whole path, for example `/bin/node`",
    );
  }
}

function checkEnvironment(environment: SandboxSpec["environment"]): void {
  const entries = Object.entries(environment);
  const { environmentNamesMax, environmentValueBytesMax } = limits.sandbox;
  if (entries.length > environmentNamesMax) {
    fail(`${entries.length} environment variables are refused`, `give at most ${environmentNamesMax}`);
  }
  for (const [name, value] of entries) {
    // The value may be private, so only the name is shown.
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(name)) {
      fail(
        `environment name \`${name.slice(0, 64)}\` is refused`,
        "use letters, digits and `_`, not starting with a digit",
      );
    }
    if (/^LD_/.test(name) || Object.hasOwn(fixedEnvironment, name)) {
      fail(`environment name \`${name}\` is set by the sandbox itself`, `remove \`${name}\``);
    }
    if (value.includes("\0") || Buffer.byteLength(value) > environmentValueBytesMax) {
      fail(`value of \`${name}\` holds a NUL or is too long`, `keep it under ${environmentValueBytesMax} bytes`);
    }
  }
}

async function checkCodeFolder(folder: string): Promise<string> {
  if (!isAbsolute(folder)) fail(`code folder \`${folder}\` is not an absolute path`, "give its whole path");
  const found = await realpath(folder).catch(() =>
    fail(`code folder \`${folder}\` does not exist`, "create it, or correct `code`"),
  );
  const info = await stat(found);
  if (!info.isDirectory()) fail(`code folder \`${folder}\` is not a folder`, "name a folder in `code`");
  if ((info.mode & 0o005) !== 0o005) {
    fail(`code folder \`${folder}\` is closed to the sandbox's user`, `run \`chmod -R o+rX ${folder}\``);
  }
  return found;
}
