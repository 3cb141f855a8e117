import type { Json } from "../../lib/json.ts";
import type { ReplayVerdict, ResumeInput, RunDetail, RunJournal, RunPage, RunTrace } from "../../protocol/run.ts";
import type { CredentialInput, CredentialPage, CredentialUsage, LoginStart } from "../../protocol/credential.ts";
import type {
  AuditPage,
  AuditVerdict,
  BoardPage,
  BudgetLine,
  Costs,
  EventPage,
  ExecResult,
  LogPage,
  Reply,
  Status,
} from "../../protocol/desk.ts";
import type {
  BudgetHistory,
  BudgetInput,
  ModelPage,
  PriceListReport,
  Spending,
  SpendingGrouping,
} from "../../protocol/money.ts";
import { limits } from "../../protocol/limits.ts";
import type { TaskDetail, TaskPage } from "../../protocol/task.ts";
import { codeOf } from "./failure.ts";
import { openTransport, type DeskCall } from "./desk-transport.ts";

export type CredentialOptions = Omit<CredentialInput, "name" | "valueBase64">;

/** The desk's routes (protocol/desk.ts) as calls. All reject with a Failure that names the fix. */
export interface Desk {
  status(): Promise<Status>;
  costs(): Promise<Costs>;
  /** `since`: a day, or empty. */
  spending(by: SpendingGrouping, since: string): Promise<Spending>;
  budgets(): Promise<BudgetHistory>;
  setBudget(input: BudgetInput): Promise<BudgetLine>;
  models(provider: string | undefined): Promise<ModelPage>;
  updatePrices(list: Json): Promise<PriceListReport>;
  /** Waits up to `waitMs` for something to happen. */
  events(after: number, waitMs: number, signal?: AbortSignal): Promise<EventPage>;
  audit(after: number, count: number): Promise<AuditPage>;
  verifyAudit(): Promise<AuditVerdict>;
  board(match: string): Promise<BoardPage>;
  logs(agent: string, lines: number): Promise<LogPage>;
  send(
    agent: string,
    body: string,
    conversation?: string,
  ): Promise<{ readonly id: string; readonly conversation: string }>;
  /** The oldest reply after the one numbered `after`; undefined when none came within `waitMs`. */
  reply(conversation: string, after: number, waitMs: number, signal?: AbortSignal): Promise<Reply | undefined>;
  exec(agent: string, command: readonly string[]): Promise<ExecResult>;
  start(agent: string): Promise<void>;
  stop(agent: string): Promise<void>;
  credentials(): Promise<CredentialPage>;
  credentialUsage(): Promise<CredentialUsage>;
  addCredential(name: string, value: Uint8Array, options?: CredentialOptions): Promise<void>;
  revokeCredential(name: string): Promise<void>;
  login(name: string, redirectUri: string): Promise<LoginStart>;
  finishLogin(state: string, code: string): Promise<void>;
  rotateMasterKey(): Promise<void>;
  tasks(): Promise<TaskPage>;
  task(id: string): Promise<TaskDetail>;
  shutdown(): Promise<void>;
  startRun(file: string, input: Json | undefined): Promise<{ readonly run: string; readonly plan: string }>;
  runs(): Promise<RunPage>;
  run(id: string): Promise<RunDetail>;
  replayRun(id: string): Promise<ReplayVerdict>;
  traceRun(id: string): Promise<RunTrace>;
  runJournal(id: string): Promise<RunJournal>;
  controlRun(id: string, word: "pause" | "cancel"): Promise<void>;
  resumeRun(id: string, raise: ResumeInput): Promise<void>;
  retryRun(id: string, from: string): Promise<void>;
  answerRun(
    id: string,
    answer: { readonly task: string; readonly hash: string; readonly approved: boolean },
  ): Promise<void>;
}

export async function openDesk(state: string): Promise<Desk> {
  const transport = await openTransport(state);
  // The mesh is trusted and of this version: the shapes of its answers are those of protocol/desk.ts.
  const get = async <T>(path: string, more: Partial<DeskCall> = {}): Promise<T> =>
    (await transport({ method: "GET", path, ...more })) as T;
  const post = async <T>(path: string, body: unknown, patienceMs = 0): Promise<T> =>
    (await transport({ method: "POST", path, body, patienceMs })) as T;
  const part = encodeURIComponent;
  const wait = (waitMs: number, signal: AbortSignal | undefined): Partial<DeskCall> =>
    signal ? { patienceMs: waitMs, signal } : { patienceMs: waitMs };
  return {
    status: () => get("/v1/status"),
    costs: () => get("/v1/costs"),
    spending: (by, since) => get(`/v1/spending?by=${by}&since=${part(since)}`),
    budgets: () => get("/v1/budgets"),
    setBudget: (input) => post("/v1/budgets", input),
    models: (provider) => get(provider === undefined ? "/v1/models" : `/v1/models?provider=${part(provider)}`),
    updatePrices: (list) => post("/v1/models/prices", list),
    events: (after, waitMs, signal) => get(`/v1/events?after=${after}&wait_ms=${waitMs}`, wait(waitMs, signal)),
    audit: (after, count) => get(`/v1/audit?after=${after}&limit=${count}`),
    // Reads every record that there is.
    verifyAudit: () => get("/v1/audit/verify", { patienceMs: limits.desk.execTimeoutMs }),
    tasks: () => get("/v1/tasks"),
    task: (id) => get(`/v1/tasks/${part(id)}`),
    board: (match) => get(`/v1/board?match=${part(match)}`),
    logs: (agent, lines) => get(`/v1/agents/${part(agent)}/logs?lines=${lines}`),
    send: (agent, body, conversation) =>
      post(`/v1/agents/${part(agent)}/messages`, conversation === undefined ? { body } : { body, conversation }),
    reply: (conversation, after, waitMs, signal) =>
      get(`/v1/replies/${part(conversation)}?after=${after}&wait_ms=${waitMs}`, wait(waitMs, signal)),
    exec: (agent, command) => post(`/v1/agents/${part(agent)}/exec`, { command }, limits.desk.execTimeoutMs),
    start: (agent) => post(`/v1/agents/${part(agent)}/start`, {}, limits.desk.execTimeoutMs),
    stop: (agent) => post(`/v1/agents/${part(agent)}/stop`, {}, limits.desk.execTimeoutMs),
    credentials: () => get("/v1/credentials"),
    credentialUsage: () => get("/v1/credential-uses"),
    addCredential: (name, value, options = { expect: "new" }) =>
      post("/v1/credentials", { name, valueBase64: Buffer.from(value).toString("base64"), ...options }),
    revokeCredential: (name) => post(`/v1/credentials/${part(name)}/revoke`, {}),
    login: (name, redirectUri) => post(`/v1/credentials/${part(name)}/login`, { redirectUri }, limits.source.timeoutMs),
    finishLogin: (state, code) => post(`/v1/logins/${part(state)}`, { code }, limits.source.timeoutMs),
    rotateMasterKey: () => post("/v1/vault/rotate", {}),
    // A mesh that ends before its answer is through has done what was asked; callers wait for it to be gone.
    startRun: (file, input) => post("/v1/runs", input === undefined ? { file } : { file, input }),
    runs: () => get("/v1/runs"),
    run: (id) => get(`/v1/runs/${part(id)}`),
    replayRun: (id) => get(`/v1/runs/${part(id)}/replay`, { patienceMs: limits.desk.execTimeoutMs }),
    traceRun: (id) => get(`/v1/runs/${part(id)}/trace`),
    runJournal: (id) => get(`/v1/runs/${part(id)}/journal`),
    controlRun: (id, word) => post(`/v1/runs/${part(id)}/${word}`, {}),
    resumeRun: (id, raise) => post(`/v1/runs/${part(id)}/resume`, raise),
    retryRun: (id, from) => post(`/v1/runs/${part(id)}/retry`, { from }),
    answerRun: (id, answer) => post(`/v1/runs/${part(id)}/answer`, answer),
    shutdown: () =>
      post<void>("/v1/shutdown", {}, limits.desk.shutdownTimeoutMs).catch((error: unknown) => {
        if (!(error instanceof Error && codeOf(error.cause) === "ECONNRESET")) throw error;
      }),
  };
}
