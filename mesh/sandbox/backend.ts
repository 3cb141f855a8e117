/**
 * One interface for whatever runs sandboxes; test/contract/sandbox-backend.ts holds what each must keep.
 * This room is the only one that starts processes.
 */
import type { Readable } from "node:stream";

/** Weakest first. */
export const isolations = ["container", "gvisor", "microvm"] as const;
export type Isolation = (typeof isolations)[number];

export interface SandboxLimits {
  readonly memoryBytes: number;
  /** Share of one core, for example 0.15. */
  readonly cpus: number;
  readonly pids: number;
  /** Size of /data. */
  readonly diskBytes: number;
}

/** What is to run. `id` is immutable and never used twice; `volume` names the /data that survives restarts. */
export interface SandboxSpec {
  readonly id: string;
  /** How strong the fence must be. A backend that cannot give it refuses; it never gives a weaker one. */
  readonly isolation: Isolation;
  readonly volume: string;
  readonly limits: SandboxLimits;
  /** Run inside by PID 1's rules as UID 1000; the first word is an absolute path. */
  readonly command: readonly string[];
  /** No secret may be here; the backend refuses names and values it was not given by the mesh itself. */
  readonly environment: Readonly<Record<string, string>>;
  /** Folder of the host shown read-only at /code, or null. */
  readonly codeFolder: string | null;
  /** A finished root file system of the host that stands in for the agents' own one. */
  readonly rootfs?: string;
  /** Receives the door socket of this sandbox; made and listened on before start. */
  readonly door: DoorListener;
  /** The start on record: nothing of the sandbox runs before, and nothing is left of one whose record fails. Absent: it is. */
  readonly recorded?: Promise<void>;
}

/** The mesh's end of a door: the backend says where the socket must be and who may connect to it. */
export interface DoorListener {
  listen(socketPath: string): Promise<void>;
  /** How long nobody has used it; 0 while somebody does. */
  idleForMs?(): number;
  close(): Promise<void>;
}

export type SandboxEvent =
  | { readonly type: "started"; readonly pid: number }
  | { readonly type: "oom"; readonly count: number }
  | { readonly type: "pids_exhausted"; readonly count: number }
  | { readonly type: "disk_full"; readonly usedBytes: number }
  | { readonly type: "log_flood"; readonly bytesPerSecond: number }
  /** Hostile code shows itself: a call that only who wants out makes, refused; the last one by process `pid` as known inside, null when it had ended. */
  | { readonly type: "syscall_denied"; readonly call: string; readonly pid: number | null; readonly count: number }
  /** Its refused calls are not seen any more. They are still refused. */
  | { readonly type: "syscalls_unwatched" }
  /** The relay through which its door goes has ended, and with it all that was under way there; it is replaced, or the sandbox ends. */
  | { readonly type: "door_lost" }
  /** Its door stands again, through another relay under another key. */
  | { readonly type: "door_mended" }
  /**
   * Somebody came to the port of its relay with its key after that had been used, with one that is not its, or without; or more came
   * than are heard. `count`: since the last such event.
   */
  | {
      readonly type: "relay_refused";
      readonly reason: "used key" | "foreign key" | "no key" | "crowd";
      readonly count: number;
    }
  /** It has asked for more processor time than its share, without a pause, for `seconds`. */
  | { readonly type: "cpu_throttled"; readonly seconds: number }
  /**
   * The last event. `cause` is what ended it as far as the kernel tells; its PID 1 has left an `exitCode` or was ended
   * by a `signal` such as `SIGKILL`, the other being null; both are null when nobody was told. Under Docker
   * and gVisor a signal may show as the code 128 + its number.
   */
  | {
      readonly type: "exited";
      readonly cause: "oom" | "stopped" | "ended";
      readonly exitCode: number | null;
      readonly signal: string | null;
    };

export type Exit = { readonly code: number } | { readonly signal: string };

export interface Sandbox {
  readonly id: string;
  /** Combined standard output and error of the sandbox; reading slowly slows the sandbox, not the mesh. */
  readonly output: Readable;
  onEvent(listener: (event: SandboxEvent) => void): void;
  usage(): Promise<{ readonly memoryBytes: number; readonly pids: number; readonly cpuUs: number }>;
  /** Runs `command` inside the same fence as an operator's debugging aid. */
  exec(
    command: readonly string[],
    bounds: { readonly outputBytesMax: number; readonly timeoutMs: number },
  ): Promise<{
    readonly exitCode: number;
    readonly stdout: string;
    readonly stderr: string;
    readonly truncated: boolean;
  }>;
  /** SIGTERM, then SIGKILL after `graceMs`; resolves when every process, mount and cgroup is gone. */
  stop(graceMs: number): Promise<void>;
}

/** What stands between a request for a fence and having one. */
export interface Shortfall {
  readonly what: string;
  readonly remedy: string;
}

export interface SandboxBackend {
  readonly name: string;
  /** Empty when sandboxes of this isolation can be built here. */
  shortfalls(isolation: Isolation): Promise<readonly Shortfall[]>;
  /** Why nobody is told of the refused system calls of its sandboxes here; null: `syscall_denied` tells of them. Absent: nobody is. */
  deniedCallsUnseen?(isolation: Isolation): Promise<string | null>;
  /** Builds the fence and starts; throws SandboxError if any part of it cannot be built. */
  start(spec: SandboxSpec): Promise<Sandbox>;
  /** Ends and removes every sandbox of this installation that an earlier mesh left; returns their ids. */
  sweep(): Promise<readonly string[]>;
  /** Removes the volume for good. */
  eraseVolume(volume: string): Promise<void>;
}

export class SandboxError extends Error {
  override readonly name = "SandboxError";
  readonly remedy: string;
  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.remedy = remedy;
  }
}
