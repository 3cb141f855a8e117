import type { Result } from "../../../../lib/result.ts";
import type { Refusal } from "../../../../protocol/refusal.ts";
import type { Write } from "../../../store/store.ts";
import type { GitService, RepositorySetting } from "./setting.ts";

/** What is evidence of a session before its server is called. */
export interface Admission {
  readonly setting: RepositorySetting;
  readonly service: GitService;
  readonly addresses: readonly string[];
  readonly writes: readonly Write[];
}

/** How it ended; bytes of what git itself sends. */
export interface Closing {
  readonly sent: number;
  readonly received: number;
  /** What the server's program ended with; -1: it did not come so far. */
  readonly code: number;
  readonly reason: string;
}

/** Decides for one sandbox what the broker carries, and keeps the evidence: what it allows is on disk before. */
export interface RepositoryWarden {
  readonly agent: string;
  /** Names of the repositories that the agent may use. */
  readonly repositories: readonly string[];
  permit(service: GitService, repository: string): Promise<Result<{ readonly rule: string }, Refusal>>;
  /** Reserves a request and records it. */
  admit(admission: Admission, rule: string): Promise<Result<null, Refusal>>;
  /** Further bytes on their way to the server: asked for again, since an agent may be halted meanwhile. */
  more(setting: RepositorySetting, service: GitService, bytes: number): Promise<Result<null, Refusal>>;
  /** What is about to be pushed: names of refs with what is to be done to them. */
  pushed(setting: RepositorySetting, refs: readonly string[]): Promise<void>;
  closed(setting: RepositorySetting, service: GitService, closing: Closing): Promise<void>;
  /** A refusal that the broker found itself. */
  refused(about: { readonly [key: string]: string }, refusal: Refusal): Promise<void>;
  /** A fault of the mesh's own. */
  fault(error: unknown): void;
}
