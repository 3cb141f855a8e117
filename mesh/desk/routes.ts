import { posix } from "node:path";
import { err, ok } from "../../lib/result.ts";
import { ExecInput, HookInput, MessageInput, type AuditRow } from "../../protocol/desk.ts";
import { limits } from "../../protocol/limits.ts";
import { BoardGlob } from "../../protocol/names.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { SandboxError } from "../sandbox/backend.ts";
import { fixedEnvironment } from "../sandbox/bundle.ts";
import { moneyRoutes } from "./money-routes.ts";
import { parse, type Answer, type DeskRequest, type Handler } from "./request.ts";
import { runRoutes } from "./run-routes.ts";
import { operator, type DeskServices } from "./services.ts";
import { taskRoutes } from "./task-routes.ts";
import { vaultRoutes } from "./vault-routes.ts";

/** Every route of the desk: method and path, where `*` is one name. */
export const deskRoutes: Readonly<Record<string, Handler>> = {
  "GET /v1/status": async (services) => ok(await services.status()),
  "GET /v1/costs": (services) => ok(services.costs()),
  "GET /v1/events": events,
  "GET /v1/audit": auditPage,
  "GET /v1/audit/verify": async (services) => ok(await services.verifyAudit()),
  "GET /v1/board": board,
  "GET /v1/agents/*/logs": logs,
  "POST /v1/agents/*/messages": message,
  "GET /v1/replies/*": reply,
  "POST /v1/agents/*/exec": exec,
  "POST /v1/agents/*/start": (services, request) => setRunning(services, request, true),
  "POST /v1/agents/*/stop": (services, request) => setRunning(services, request, false),
  "POST /v1/hooks/*": hook,
  ...runRoutes,
  ...taskRoutes,
  ...moneyRoutes,
  ...vaultRoutes,
  "POST /v1/shutdown": async (services) => {
    await services.audit.record({ kind: "mesh.shutdown", subject: operator, detail: {} });
    services.shutdown();
    return ok(null);
  },
};

async function events({ monitor }: DeskServices, { query }: DeskRequest): Promise<Answer> {
  const after = whole(query, "after", Number.MAX_SAFE_INTEGER);
  const list = await monitor.after(after, whole(query, "wait_ms", limits.desk.waitMsMax), EVENTS_PER_PAGE);
  return ok({ events: list, next: list.at(-1)?.seq ?? after });
}

async function auditPage({ store }: DeskServices, { query }: DeskRequest): Promise<Answer> {
  // Records that nobody waits for are there, too.
  await store.commit([]);
  const after = whole(query, "after", Number.MAX_SAFE_INTEGER);
  const rows = store.query.audit.page(after, whole(query, "limit", AUDIT_PER_PAGE) || AUDIT_PER_PAGE);
  const records: AuditRow[] = rows.map(({ line: _stored, ...row }) => ({
    ...row,
    detail: JSON.parse(row.detail) as AuditRow["detail"],
    hash: Buffer.from(row.hash).toString("hex"),
  }));
  return ok({ records, next: rows.at(-1)?.seq ?? after });
}

function board(services: DeskServices, { query }: DeskRequest): Answer {
  const match = BoardGlob.safeParse(query.get("match") ?? "**");
  if (!match.success)
    return err(refusal("malformed", "`match` is not a pattern of board keys", "use for example `digest/**`"));
  return ok({ rows: services.board.list(match.data, () => true) });
}

async function logs({ supervisor }: DeskServices, { name, query }: DeskRequest): Promise<Answer> {
  const runner = supervisor.runner(name);
  if (!runner) return err(noAgent(name));
  return ok({ lines: await runner.logs.tail(whole(query, "lines", limits.desk.logLinesMax) || 200) });
}

async function message(services: DeskServices, { name, body }: DeskRequest): Promise<Answer> {
  if (!services.supervisor.runner(name)) return err(noAgent(name));
  const input = parse(MessageInput, body);
  if (!input.ok) return input;
  const posted = services.inboxes.post({
    to: name,
    from: operator,
    body: input.value.body,
    label: { integrity: "user", confidentiality: "internal", sources: [operator] },
    conversation: input.value.conversation,
    replyTo: null,
  });
  if (!posted.ok) return posted;
  const { id, conversation, writes, done } = posted.value;
  await services.audit.record({ kind: "message.posted", subject: operator, detail: { to: name, message: id } }, writes);
  done();
  services.monitor.emit("message.posted", name, { message: id });
  return ok({ id, conversation });
}

async function reply(services: DeskServices, { name, query, signal }: DeskRequest): Promise<Answer> {
  const after = whole(query, "after", Number.MAX_SAFE_INTEGER);
  const [first] = await services.inboxes.replies(name, after, whole(query, "wait_ms", limits.desk.waitMsMax), signal);
  return ok(first ?? null);
}

async function exec(services: DeskServices, { name, body }: DeskRequest): Promise<Answer> {
  const runner = services.supervisor.runner(name);
  if (!runner) return err(noAgent(name));
  const input = parse(ExecInput, body);
  if (!input.ok) return input;
  if (!runner.sandbox)
    return err(
      refusal("busy", `\`${name}\` is ${runner.phase}${runner.reason && `: ${runner.reason}`}`, "start it first"),
    );
  await services.audit.record({
    kind: "operator.exec",
    subject: operator,
    detail: { agent: name, sandbox: runner.sandbox.id, command: JSON.stringify(input.value.command).slice(0, 1_000) },
  });
  const { execOutputBytesMax: outputBytesMax, execTimeoutMs: timeoutMs } = limits.desk;
  const [program = "", ...words] = input.value.command;
  // A bare name is one of the folder that every sandbox has as its PATH.
  const command = [program.includes("/") ? program : posix.join(fixedEnvironment.PATH, program), ...words];
  try {
    return ok(await runner.sandbox.exec(command, { outputBytesMax, timeoutMs }));
  } catch (error) {
    if (error instanceof SandboxError) return err(refusal("unsupported", error.message, error.remedy));
    throw error;
  }
}

async function setRunning(services: DeskServices, { name }: DeskRequest, run: boolean): Promise<Answer> {
  await services.audit.record({
    kind: run ? "operator.start" : "operator.stop",
    subject: operator,
    detail: { agent: name.slice(0, 64) },
  });
  const refused = run ? await services.supervisor.startAgent(name) : await services.supervisor.stopAgent(name);
  return refused ? err(refused) : ok(null);
}

async function hook({ hooks }: DeskServices, { name, body }: DeskRequest): Promise<Answer> {
  const input = parse(HookInput, body);
  if (!input.ok) return input;
  const headers = new Map(Object.entries(input.value.headers));
  return hooks.receive(name, { headers, body: Buffer.from(input.value.bodyBase64, "base64") });
}

const EVENTS_PER_PAGE = 500;
const AUDIT_PER_PAGE = 1_000;

/** A whole number of the query, bounded; 0 when it is absent or not one. */
function whole(query: URLSearchParams, name: string, max: number): number {
  const text = query.get(name) ?? "";
  return /^\d{1,15}$/.test(text) ? Math.min(Number(text), max) : 0;
}

const noAgent = (name: string): Refusal =>
  refusal("not_found", `no agent \`${name.slice(0, 64)}\``, "see `cordon status`");
