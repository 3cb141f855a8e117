/** A real mesh for tests: its own process, its own state, real sandboxes. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { openReadOnly } from "../../mesh/store/open.ts";
import { openDesk, type Desk } from "../../user/cli/desk-client.ts";

const program = fileURLToPath(new URL("../../mesh/main.ts", import.meta.url));

export interface MeshFixture {
  readonly folder: string;
  readonly state: string;
  readonly desk: Desk;
  readonly pid: number;
  /** Names the sandboxes of this state on the host. */
  readonly installation: string;
  /** What the mesh wrote to standard error. */
  errors(): string;
  /** Stops and starts one agent. */
  restart(agent: string): Promise<void>;
  /** SIGKILL: what a power cut or the kernel would do. */
  kill(): Promise<void>;
  /** A new mesh on the same state. */
  again(): Promise<MeshFixture>;
  /** Orderly stop that leaves the folder; the exit code. */
  end(): Promise<number>;
  /** Orderly stop, and the folder is gone; the exit code. */
  stop(): Promise<number>;
}

export interface MeshSettings {
  /** HOST:PORT of a desk besides the one on the socket. */
  readonly listen?: string;
  /** Besides that of the test. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Writes `files` into a fresh folder (the fleet file among them, as `cordon.yaml`) and starts a mesh on it. */
export async function startMesh(
  files: Readonly<Record<string, string>>,
  settings: MeshSettings = {},
): Promise<MeshFixture> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-test-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return launch(folder, settings).catch((error: unknown) => {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  });
}

/** Starts a mesh on a folder that `startMesh` has made. */
async function launch(folder: string, settings: MeshSettings): Promise<MeshFixture> {
  const state = join(folder, "state");
  const child = spawn(
    process.execPath,
    [
      "--disable-warning=ExperimentalWarning",
      program,
      "serve",
      "--fleet",
      join(folder, "cordon.yaml"),
      "--state",
      state,
      ...(settings.listen === undefined ? [] : ["--listen", settings.listen]),
    ],
    {
      stdio: ["ignore", "pipe", "pipe"],
      ...(settings.env && { env: { ...process.env, ...settings.env } }),
    },
  );
  let errors = "";
  child.stderr.on("data", (piece: Buffer) => (errors += piece.toString()));
  const exited = exitOf(child);
  // A test that fails before it stops its mesh must not leave it, and its sandboxes, behind.
  const endWithTest = (): void => void child.kill("SIGTERM");
  process.once("exit", endWithTest);
  void exited.then(() => process.off("exit", endWithTest));
  const up = async (): Promise<{ readonly desk: Desk; readonly installation: string }> => {
    await Promise.race([
      ready(child),
      exited.then(async (code) => {
        // What it said last is still on its way when it has ended.
        if (!child.stderr.closed) await once(child.stderr, "close");
        throw new Error(`the mesh ended with ${code}: ${errors}`);
      }),
    ]);
    return { desk: await openDesk(state), installation: installationOf(state) };
  };
  const { desk, installation } = await up().catch((error: unknown) => {
    child.kill("SIGTERM");
    throw error;
  });
  const end = (): Promise<number> => {
    child.kill("SIGTERM");
    return exited;
  };
  return {
    ...{ folder, state, desk, installation, end },
    pid: child.pid ?? 0,
    errors: () => errors,
    restart: async (agent) => {
      await desk.stop(agent);
      await desk.start(agent);
    },
    kill: async () => {
      child.kill("SIGKILL");
      await exited;
    },
    again: () => launch(folder, settings),
    stop: async () => {
      const code = await end();
      rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
}

function installationOf(state: string): string {
  const store = openReadOnly(state);
  try {
    return store.query.meta.get("installation") ?? "";
  } finally {
    store.close();
  }
}

function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.once("exit", (code) => resolve(code ?? 137)));
}

function ready(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    let seen = "";
    child.stdout?.on("data", (piece: Buffer) => {
      seen += piece.toString();
      if (seen.includes('{"ready":true}')) resolve();
    });
  });
}

/** Resolves with what `look` finds; rejects after `patienceMs`. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>, patienceMs = 30_000): Promise<T> {
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The JSON lines that a sandbox has printed, by their `kind`. */
export async function printed(mesh: MeshFixture, agent: string, kind: string): Promise<Record<string, unknown>[]> {
  const { lines } = await mesh.desk.logs(agent, 2_000);
  return lines.flatMap((line) => {
    try {
      const value = JSON.parse(line) as Record<string, unknown>;
      return value["kind"] === kind ? [value] : [];
    } catch {
      return [];
    }
  });
}

/** What every hostile program needs: the door without any client library, and a way to tell what it found. */
export const attackerPrelude = `
import http from "node:http";
import fs from "node:fs";
import net from "node:net";
export const tell = (kind, fields) => fs.writeSync(1, JSON.stringify({ kind, ...fields }) + "\\n");
export const ask = (method, path, body, headers = {}) => new Promise((resolve) => {
  const request = http.request({ socketPath: "/run/cordon/door.sock", method, path, headers: { "content-type": "application/json", ...headers }, agent: false }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (piece) => (text += piece)).on("end", () => resolve({ status: response.statusCode, headers: response.headers, text })).on("error", () => resolve({ status: 0, text }));
  });
  request.on("error", (error) => resolve({ status: 0, text: error.code }));
  request.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
});
export const raw = (bytes, waitMs = 1500) => new Promise((resolve) => {
  const socket = net.connect("/run/cordon/door.sock");
  let text = "";
  const end = () => { socket.destroy(); resolve(text); };
  socket.on("data", (piece) => (text += piece)).on("close", end).on("error", end);
  setTimeout(end, waitMs);
  socket.write(bytes);
});
`;
