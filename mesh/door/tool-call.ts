import type { z } from "zod";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Json } from "../../lib/json.ts";
import { toolArguments, type ToolAnswer, type ToolArguments, type ToolName } from "../../protocol/door.ts";
import type { Label } from "../../protocol/label.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Action } from "../policy/decide.ts";
import { ask, decisionOf, noRoom, recordAllowed, recordRefusal } from "./ask.ts";
import { boardHistory, watchBoard } from "./board-call.ts";
import { agentLabel, type Caller, type DoorServices } from "./services.ts";
import { createTask, finishTask, handOffTask, listTasks, updateTask } from "./task-call.ts";
import { acknowledge, deadLetters, publish, pull, replies, replyTo } from "./topic-call.ts";

type Answer = Promise<Result<ToolAnswer, Refusal>>;
type Tools = {
  readonly [T in ToolName]: (
    services: DoorServices,
    caller: Caller,
    args: ToolArguments<T>,
    signal: AbortSignal,
  ) => Answer;
};

const meshLabel: Label = { integrity: "system", confidentiality: "internal", sources: [] };
const answer = (result: unknown, label: Label): Result<ToolAnswer, Refusal> => ok({ result, label });

/** Parses the arguments strictly, decides, records, does. `signal` ends a wait when nobody listens any more. */
export async function toolCall(
  services: DoorServices,
  caller: Caller,
  tool: ToolName,
  body: Json,
  signal: AbortSignal,
): Answer {
  const parsed = (toolArguments[tool] as z.ZodType).safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const refused = refusal(
      "malformed",
      `\`${tool}\`: ${issue?.path.map(String).join(".") || "arguments"}: ${issue?.message.toLowerCase()}`,
      "see the tool's parameters",
    );
    await recordRefusal(services, caller, { verb: "tool.call", tool }, refused);
    return err(refused);
  }
  const full = KEPT.has(tool) ? await noRoom(services, caller, { verb: "tool.call", tool }) : undefined;
  if (full) return err(full);
  type Handler = (s: DoorServices, c: Caller, a: unknown, signal: AbortSignal) => Answer;
  return (tools[tool] as Handler)(services, caller, parsed.data, signal);
}

/** What they are given stays on the disk. */
const KEPT: ReadonlySet<ToolName> = new Set([
  ...(["board.write", "bus.publish", "bus.reply", "message.send", "output.write"] as const),
  ...(["task.create", "task.handoff", "task.update"] as const),
]);

const tools: Tools = {
  async "files.list"(services, caller) {
    const asked = await permitted(services, caller, { verb: "tool.call", tool: "files.list" });
    if (!asked.ok) return asked;
    const listed = await services.files.list();
    return listed.ok ? answer(listed.value, meshLabel) : listed;
  },

  async "files.read"(services, caller, { path }) {
    const asked = await permitted(services, caller, { verb: "tool.call", tool: "files.read" }, { path });
    if (!asked.ok) return asked;
    const read = await services.files.read(path);
    if (!read.ok) return read;
    const { content, removed } = read.value;
    services.monitor.emit("file.read", caller.agent, { path, bytes: content.length, removed });
    return answer(
      { path, content },
      { integrity: "untrusted", confidentiality: "internal", sources: [`file:${path}`.slice(0, 256)] },
    );
  },

  async "output.write"(services, caller, { path, content }) {
    const asked = await permitted(services, caller, { verb: "tool.call", tool: "output.write" }, { path });
    if (!asked.ok) return asked;
    const written = await services.files.write(path, content);
    if (!written.ok) return written;
    services.monitor.emit("output.written", caller.agent, { path, bytes: written.value.bytes });
    return answer(written.value, meshLabel);
  },

  async "board.list"(services, caller, { match }, signal) {
    const asked = await permitted(services, caller, { verb: "board.list" }, { match });
    if (!asked.ok) return asked;
    // Row by row: a pattern shows only what the reader may read.
    const visible = (key: string): boolean => decisionOf(services, caller, { verb: "board.read", key }).allow;
    const within = services.matrix.get(caller.agent)?.blackboard.read ?? [];
    const asking = { reader: `agent:${caller.agent}`, match, within };
    return answer({ keys: await services.board.keys(asking, visible, signal) }, meshLabel);
  },

  async "board.read"(services, caller, { key, version }) {
    const asked = await permitted(services, caller, { verb: "board.read", key });
    if (!asked.ok) return asked;
    const entry = services.board.read(key, version);
    if (!entry) return err(refusal("not_found", `no board key \`${key}\``, "ask `board.list` for what there is"));
    return answer({ key, version: entry.version, value: entry.value, writer: entry.writer }, entry.label);
  },

  "board.write": (services, caller, { key, value, if_version, ttl_seconds }) =>
    changeBoard(services, caller, { key, value, ifVersion: if_version, ttlSeconds: ttl_seconds }),

  "board.delete": (services, caller, { key, if_version }) =>
    changeBoard(services, caller, { key, value: null, ifVersion: if_version, ttlSeconds: undefined }),

  "board.watch": watchBoard,
  "board.history": boardHistory,
  "task.create": createTask,
  "task.handoff": handOffTask,
  "task.update": updateTask,
  "task.done": finishTask,
  "task.list": listTasks,
  "bus.publish": publish,
  "bus.pull": pull,
  "bus.ack": acknowledge,
  "bus.reply": replyTo,
  "bus.replies": replies,
  "bus.dead": deadLetters,

  async "message.send"(services, caller, { to, body, conversation }) {
    const action = { verb: "message.send", to } as const;
    const asked = await ask(services, caller, action);
    if (!asked.ok) return asked;
    const posted = services.inboxes.post({
      to,
      from: `agent:${caller.agent}`,
      body,
      label: agentLabel(caller.agent),
      conversation,
      replyTo: null,
    });
    if (!posted.ok) return posted;
    await recordAllowed(services, caller, action, asked.value.rule, posted.value.writes, { message: posted.value.id });
    posted.value.done();
    services.monitor.emit("message.sent", caller.agent, { to, bytes: body.length });
    return answer({ id: posted.value.id }, meshLabel);
  },
};

/** Decides, and puts the permission on disk before the effect. */
async function permitted(
  services: DoorServices,
  caller: Caller,
  action: Action,
  more: { readonly [key: string]: Json } = {},
): Promise<Result<null, Refusal>> {
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  await recordAllowed(services, caller, action, asked.value.rule, [], more);
  return ok(null);
}

interface BoardChange {
  readonly key: string;
  readonly value: string | null;
  readonly ifVersion: number | undefined;
  readonly ttlSeconds: number | undefined;
}

/** The decision and the new version are one transaction. */
async function changeBoard(services: DoorServices, caller: Caller, change: BoardChange): Answer {
  const { key } = change;
  const action = { verb: "board.write", key } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const prepared = services.board.prepare({
    ...change,
    writer: caller.agent,
    session: caller.sandbox,
    label: agentLabel(caller.agent),
  });
  if (!prepared.ok) {
    await services.board.settled();
    return prepared;
  }
  const { version, writes, done } = prepared.value;
  await recordAllowed(services, caller, action, asked.value.rule, writes, { version, deleted: change.value === null });
  done();
  services.monitor.emit("board.written", caller.agent, { key, version });
  return answer({ key, version }, meshLabel);
}
