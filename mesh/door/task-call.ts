import { err, ok, type Result } from "../../lib/result.ts";
import type { Delivery, ToolAnswer, ToolArguments, ToolName } from "../../protocol/door.ts";
import { joinLabels, type Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { Change } from "../orchestrator/orchestrator.ts";
import type { Action } from "../policy/decide.ts";
import { ask, recordAllowed, recordRefusal } from "./ask.ts";
import { fitting } from "./fitting.ts";
import { agentLabel, type Caller, type DoorServices } from "./services.ts";

type Answer = Promise<Result<ToolAnswer, Refusal>>;
const meshLabel: Label = { integrity: "system", confidentiality: "internal", sources: [] };

/** To give somebody work is to send it a message: both grants are needed. */
export async function createTask(services: DoorServices, caller: Caller, args: ToolArguments<"task.create">): Answer {
  const { to, title, input = "", deadline_seconds } = args;
  const deadlineMs = deadline_seconds === undefined ? limits.task.deadlineMs : deadline_seconds * 1_000;
  const label = agentLabel(caller.agent);
  return change(services, caller, "task.create", to, () =>
    services.tasks.create(caller.agent, { to, title, input, deadlineMs, label }),
  );
}

export async function handOffTask(services: DoorServices, caller: Caller, args: ToolArguments<"task.handoff">): Answer {
  const { task, to, note = "" } = args;
  return change(services, caller, "task.handoff", to, () => services.tasks.handOff(caller.agent, task, to, note));
}

export async function updateTask(services: DoorServices, caller: Caller, args: ToolArguments<"task.update">): Answer {
  const { task, state, note = "" } = args;
  return change(services, caller, "task.update", undefined, () =>
    services.tasks.update(caller.agent, task, state, note),
  );
}

export async function finishTask(services: DoorServices, caller: Caller, args: ToolArguments<"task.done">): Answer {
  const { task, failed = false, result } = args;
  const end = { state: failed ? "failed" : "done", result, label: agentLabel(caller.agent) } as const;
  return change(services, caller, "task.done", undefined, () => services.tasks.finish(caller.agent, task, end));
}

export async function listTasks(services: DoorServices, caller: Caller): Answer {
  const action = { verb: "tool.call", tool: "task.list" } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  await recordAllowed(services, caller, action, asked.value.rule);
  const tasks = services.tasks.list(caller.agent);
  const all = tasks.map(({ id, title, state, creator, assignee, depth, deadlineAtMs, note, result }) => {
    return { id, title, state, creator, assignee, depth, deadline_at_ms: deadlineAtMs, note, result };
  });
  // Open ones come first, then the newest: what does not fit is the oldest.
  const rows = fitting(all);
  const labels = tasks.slice(0, rows.length).map(({ label }) => label);
  return ok({ result: { tasks: rows }, label: labels.reduce(joinLabels, meshLabel) });
}

/** A delivery with what it says of a task: that it was handed out is on disk before the agent has it. */
export async function withTask(services: DoorServices, caller: Caller, delivery: Delivery): Promise<Delivery> {
  const found = services.tasks.delivered(caller.agent, delivery.id);
  if (!found) return delivery;
  const { notice, change: taken } = found;
  if (taken) {
    const detail = { task: notice.task, message: delivery.id };
    await services.audit.record({ kind: "task.assigned", subject: `agent:${caller.agent}`, detail }, taken.writes);
    taken.done();
    services.taskWatch.wake();
    services.monitor.emit("task.changed", caller.agent, {
      task: notice.task,
      state: "assigned",
      assignee: caller.agent,
    });
  }
  return { ...delivery, task: notice };
}

/** Decides twice (the tool, and whom it reaches), then changes the task in the transaction that records the decision. */
async function change(
  services: DoorServices,
  caller: Caller,
  tool: ToolName,
  to: string | undefined,
  decide: () => Result<Change, Refusal>,
): Answer {
  const action: Action = { verb: "tool.call", tool };
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const reached = to === undefined ? asked : await ask(services, caller, { verb: "message.send", to });
  if (!reached.ok) return reached;
  const changed = decide();
  if (!changed.ok) {
    const { code, reason } = changed.error;
    await recordRefusal(services, caller, { ...action, ...(to === undefined ? {} : { to }) }, changed.error);
    if (code === "conflict")
      services.monitor.emit("task.refused", caller.agent, { tool, reason: reason.slice(0, 400) });
    return err(changed.error);
  }
  const { task, writes, done } = changed.value;
  const { id, state, assignee, depth, hops } = task;
  await recordAllowed(services, caller, action, reached.value.rule, writes, { task: id, state, assignee, depth, hops });
  done();
  services.taskWatch.wake();
  services.monitor.emit("task.changed", caller.agent, { task: id, state, assignee });
  return ok({ result: { task: id, state, assignee, depth, hops }, label: meshLabel });
}
