import type { Result } from "../../../../lib/result.ts";
import type { Refusal } from "../../../../protocol/refusal.ts";
import type { Write } from "../../../store/store.ts";
import type { DatabaseSetting } from "./setting.ts";

/** What is evidence of a connection before it is made. */
export interface Admission {
  readonly setting: DatabaseSetting;
  readonly addresses: readonly string[];
  readonly writes: readonly Write[];
}

/** How it ended; bytes as they travelled. */
export interface Closing {
  readonly sent: number;
  readonly received: number;
  /** Reflections of the password that were taken out. */
  readonly scrubbed: number;
  readonly reason: string;
}

/** Decides for one sandbox what the broker carries, and keeps the evidence: what it allows is on disk before. */
export interface DatabaseWarden {
  readonly agent: string;
  /** Whether the agent may use the database of that name now. */
  permit(database: string): Promise<Result<{ readonly rule: string }, Refusal>>;
  admit(admission: Admission, rule: string): Promise<void>;
  /** Statements on their way, by class; and their bytes. */
  statements(
    setting: DatabaseSetting,
    classes: Readonly<Record<string, number>>,
    bytes: number,
  ): Promise<Result<null, Refusal>>;
  cancelled(setting: DatabaseSetting): Promise<void>;
  closed(setting: DatabaseSetting, closing: Closing): Promise<void>;
  /** A refusal that the broker found itself. */
  refused(about: { readonly [key: string]: string }, refusal: Refusal): Promise<void>;
  /** A fault of the mesh's own. */
  fault(error: unknown): void;
}
