/** For tests only: runs command lines in this process against the fake mesh in a folder of their own. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { PassThrough } from "node:stream";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../../lib/clock.ts";
import { runCli } from "../main.ts";
import { Interrupted, type Surroundings } from "../surroundings.ts";
import type { Behaviour } from "./fake-newsroom.ts";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Scene {
  readonly folder: string;
  readonly state: string;
  /** Asks the running command to stop, as a signal would. */
  interrupt(): void;
  run(argv: readonly string[], stdin?: string): Promise<Ran>;
  write(path: string, text: string): void;
  close(): void;
}

export function openScene(behaviour: Behaviour = {}): Scene {
  const folder = mkdtempSync(join(tmpdir(), "cli-"));
  const here = dirname(fileURLToPath(import.meta.url));
  let interruption = new AbortController();
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  write("cordon.yaml", JSON.stringify(behaviour));
  write("examples/newsroom/cordon.yaml", JSON.stringify(behaviour));
  write("package.json", `{"version":"0.1.0"}`);
  mkdirSync(join(folder, "tmp"));
  const run = async (argv: readonly string[], stdin = ""): Promise<Ran> => {
    interruption = new AbortController();
    const streams = { stdin: new PassThrough(), stdout: new PassThrough(), stderr: new PassThrough() };
    streams.stdin.end(stdin);
    const stdout = collect(streams.stdout);
    const stderr = collect(streams.stderr);
    const surroundings: Surroundings = {
      ...streams,
      cwd: folder,
      projectFolder: folder,
      meshProgram: join(here, "fake-mesh.ts"),
      environment: process.env,
      temporaryFolder: join(folder, "tmp"),
      colour: false,
      clock: systemClock,
      interruption: () => interruption.signal,
    };
    const code = await runCli(argv, surroundings);
    return { code, stdout: stdout(), stderr: stderr() };
  };
  return {
    folder,
    state: join(folder, ".cordon"),
    interrupt: () => interruption.abort(new Interrupted("SIGINT")),
    run,
    write,
    close: () => rmSync(folder, { recursive: true, force: true }),
  };
}

function collect(stream: PassThrough): () => string {
  const pieces: Buffer[] = [];
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  return () => Buffer.concat(pieces).toString("utf8");
}
