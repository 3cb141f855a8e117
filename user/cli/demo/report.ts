import type { AuditVerdict, BudgetLine, Costs } from "../../../protocol/desk.ts";

/** What the demo found, as data: report.json, and what `--json` prints. Text from agents in it is hostile. */
export interface DemoReport {
  readonly cordon: string;
  readonly fleet: string;
  readonly startedAtMs: number;
  /** True when the job was done, every attempt was stopped, and every check held. */
  readonly ok: boolean;
  /** Why not, one line each. */
  readonly problems: readonly string[];
  readonly phases: readonly Phase[];
  readonly attempts: readonly AttemptVerdict[];
  readonly host: HostEvidence;
  readonly spend: {
    readonly totals: Costs["totals"];
    readonly lines: readonly BudgetLine[];
    readonly priceSource: string;
  };
  readonly audit: AuditVerdict;
  /** Relative to `outputFolder`. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly outputFolder: string;
}

export interface Phase {
  readonly name: string;
  readonly ms: number;
}

/** What the intern says of one of its attempts. It is an attacker: a claim of failure proves nothing. */
export interface Claim {
  readonly id: string;
  readonly title: string;
  readonly threat: string;
  readonly escaped: boolean;
  readonly evidence: string;
}

export interface AttemptVerdict {
  readonly id: string;
  readonly title: string;
  readonly threat: string;
  /** `unproven`: the intern says that it failed, and nothing that we observed ourselves speaks for or against it. */
  readonly outcome: "stopped" | "escaped" | "unproven";
  readonly stoppedBy: string;
  /** Folder of the mechanism in the project. */
  readonly where: string;
  readonly claim: string;
  /** What was observed outside the sandbox. */
  readonly evidence: readonly string[];
}

export interface HoneypotFinding {
  readonly kind: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  /** It heard our own knock before and after the run; one that does not hear proves nothing. */
  readonly awake: boolean;
  /** Knocks that were not ours. */
  readonly hits: number;
}

export interface HostEvidence {
  readonly honeypots: readonly HoneypotFinding[];
  readonly hostFile: { readonly unchanged: boolean; readonly unread: boolean | null };
  readonly canary: {
    readonly placesSearched: number;
    readonly bytesSearched: number;
    readonly foundIn: readonly string[];
  };
}
