/** `cordon` as a user runs it: the real command line, as a process of its own, in a folder of its own. */
import { spawn } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const commandLine = [
  process.execPath,
  "--disable-warning=ExperimentalWarning",
  fileURLToPath(new URL("../../user/cli/main.ts", import.meta.url)),
] as const;

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** The whole of standard input; without it there is none. */
  readonly input?: string;
  /** Words that stand before the command, for example `unshare --mount`. */
  readonly under?: readonly string[];
  readonly uid?: number;
}

export interface Home {
  readonly folder: string;
  /** The state that commands use when they are given no other. */
  readonly state: string;
  cordon(words: readonly string[], options?: RunOptions): Promise<Finished>;
  /** The same, still running: SIGINT is what Ctrl-C sends. */
  start(words: readonly string[]): {
    interrupt(): void;
    kill(): void;
    said(): string;
    readonly finished: Promise<Finished>;
  };
  write(files: Readonly<Record<string, string>>): void;
  /** Stops what runs on the state, if anything does, and removes the folder. */
  close(): Promise<void>;
}

export function openHome(files: Readonly<Record<string, string>> = {}): Home {
  const folder = mkdtempSync(join(tmpdir(), "cordon-user-"));
  const run = (words: readonly string[], { input, under = [], uid }: RunOptions = {}) => {
    const [program = "", ...rest] = [...under, ...commandLine, ...words];
    const child = spawn(program, rest, {
      cwd: folder,
      stdio: ["pipe", "pipe", "pipe"],
      ...(uid === undefined ? {} : { uid, gid: uid }),
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (piece: Buffer) => (stdout += piece.toString()));
    child.stderr.on("data", (piece: Buffer) => (stderr += piece.toString()));
    child.stdin.on("error", () => undefined);
    child.stdin.end(input ?? "");
    const finished = new Promise<Finished>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (code) => resolve({ code: code ?? 255, stdout, stderr }));
    });
    const kill = (): void => void child.kill("SIGKILL");
    return { interrupt: () => void child.kill("SIGINT"), kill, said: () => stdout + stderr, finished };
  };
  const home: Home = {
    folder,
    state: join(folder, ".cordon"),
    cordon: (words, options) => run(words, options).finished,
    start: (words) => run(words),
    write: (more) => {
      for (const [name, text] of Object.entries(more)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), text);
      }
    },
    close: async () => {
      await home.cordon(["down"]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
  chmodSync(folder, 0o755);
  home.write(files);
  return home;
}

/** A fleet of one, on the model that gives back what it is told. */
export const echoFleet = (name: string, more = ""): Readonly<Record<string, string>> => ({
  "cordon.yaml": `
version: 1
fleet: ${name}
defaults: { model: rehearsal/echo, budget: { day: { usd: 1.00 } }, sandbox: { disk: 4MiB } }
agents:
  assistant: { instructions: prompts/assistant.md, may: { blackboard: { write: [notes/*] } } }
${more}`,
  "prompts/assistant.md": "Answer briefly.\n",
});
