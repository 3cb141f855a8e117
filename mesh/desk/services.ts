import type { Secret } from "../../lib/redact.ts";
import type { Result } from "../../lib/result.ts";
import type { CredentialPage, CredentialUsage, LoginStart } from "../../protocol/credential.ts";
import type { AuditVerdict, Costs, Status } from "../../protocol/desk.ts";
import type { Audit } from "../audit/audit.ts";
import type { Blackboard } from "../blackboard/blackboard.ts";
import type { Inboxes } from "../bus/inboxes.ts";
import type { HookReceiver } from "../hooks/receiver.ts";
import type { Supervisor } from "../fleet/supervisor.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { DeskMoney } from "./money-routes.ts";
import type { DeskRuns } from "./run-routes.ts";
import type { Store } from "../store/store.ts";
import type { PutFault, PutOptions } from "../vault/vault.ts";

/** The vault as the desk sees it: values go in and never come out. */
export interface CredentialDrop {
  put(name: string, value: Secret, by: string, options: PutOptions): Promise<Result<null, PutFault>>;
  revoke(name: string, by: string): Promise<boolean>;
  list(): CredentialPage["credentials"];
  usage(): CredentialUsage;
  /** Begins a log-in for a credential that OAuth keeps. */
  login(name: string, redirectUri: string | null): Promise<Result<LoginStart, PutFault>>;
  finishLogin(state: string, code: string): Promise<Result<null, PutFault>>;
  rotateMasterKey(by: string): Promise<void>;
}

/** The rooms that the desk speaks for. */
export interface DeskServices {
  readonly store: Store;
  readonly audit: Audit;
  readonly monitor: Monitor;
  readonly board: Blackboard;
  readonly inboxes: Inboxes;
  readonly supervisor: Supervisor;
  readonly credentials: CredentialDrop;
  readonly runs: DeskRuns;
  readonly money: DeskMoney;
  readonly hooks: Pick<HookReceiver, "receive">;
  status(): Promise<Status>;
  costs(): Costs;
  verifyAudit(): Promise<AuditVerdict>;
  /** Starts the orderly end of the mesh; returns at once. */
  shutdown(): void;
}

/** Who asks. Until people have accounts, the holder of the token is the operator. */
export const operator = "principal:operator";
