/** A mesh that will be killed: everything about it is known from its files, its desk and the host, nothing from memory. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openReadOnly } from "../../mesh/store/open.ts";
import { openDesk, type Desk } from "../../user/cli/desk-client.ts";

const program = fileURLToPath(new URL("../../mesh/main.ts", import.meta.url));
const FLAGS = ["--disable-warning=ExperimentalWarning"];

export interface DoomedMesh {
  /** Resolves when the mesh says that it is ready; rejects with its words when it ends instead. */
  readonly ready: Promise<void>;
  readonly exited: Promise<void>;
  /** What it wrote to standard error. */
  words(): string;
  desk(): Promise<Desk>;
  kill(): Promise<void>;
  /** Starts an orderly end, and does not wait for it. */
  terminate(): void;
}

export function serve(folder: string): DoomedMesh {
  const state = join(folder, "state");
  const args = [...FLAGS, program, "serve", "--fleet", join(folder, "cordon.yaml"), "--state", state];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  let errors = "";
  let seen = "";
  child.stderr.on("data", (piece: Buffer) => (errors += piece.toString()));
  const ready = new Promise<void>((resolve, reject) => {
    child.stdout.on("data", (piece: Buffer) => {
      seen += piece.toString();
      if (seen.includes('{"ready":true}')) resolve();
    });
    void exited.then(() => reject(new Error(`the mesh ended: ${errors}`)));
  });
  ready.catch(() => undefined);
  return {
    ...{ ready, exited },
    words: () => errors,
    desk: () => openDesk(state),
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    terminate: () => void child.kill("SIGTERM"),
  };
}

/** What the files of a state hold, read by a connection of its own, as `cordon costs` does. */
export function readState<T>(state: string, look: (query: ReturnType<typeof openReadOnly>["query"]) => T): T {
  const { query, close } = openReadOnly(state);
  try {
    return look(query);
  } finally {
    close();
  }
}

/** Micro-USD that agents have been charged since the state was made. */
export const spentIn = (state: string): number =>
  readState(state, ({ ledger }) =>
    ledger
      .usage()
      .filter((row) => row.scope.startsWith("agent:"))
      .reduce((sum, row) => sum + row.microUsd, 0),
  );

/** `cordon audit verify` on a state without a mesh. */
export function verifyOffline(state: string): Promise<{ readonly code: number; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...FLAGS, program, "verify", "--state", state], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), output: stdout + stderr }),
    );
  });
}

/** The JSON lines of one kind that an agent's sandboxes have printed, as they stand in the state's log files. */
export function printedLines(state: string, agent: string, kind: string): Record<string, unknown>[] {
  const file = join(state, "logs", `${agent}.log`);
  const texts = [`${file}.1`, file].map((path) => (existsSync(path) ? readFileSync(path, "utf8") : ""));
  return texts.flatMap((whole) =>
    whole.split("\n").flatMap((line) => {
      if (!line.startsWith(`{"kind":"${kind}"`)) return [];
      try {
        return [JSON.parse(line) as Record<string, unknown>];
      } catch {
        // Half a line: the mesh was killed while it wrote.
        return [];
      }
    }),
  );
}
