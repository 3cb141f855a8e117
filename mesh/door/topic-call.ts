import { ok, type Result } from "../../lib/result.ts";
import type { PulledMessage, ToolAnswer, ToolArguments } from "../../protocol/door.ts";
import { joinLabels, type Label } from "../../protocol/label.ts";
import { limits } from "../../protocol/limits.ts";
import type { Refusal } from "../../protocol/refusal.ts";
import type { TopicMessage } from "../bus/topics.ts";
import { ask, recordAllowed } from "./ask.ts";
import { fitting } from "./fitting.ts";
import { agentLabel, type Caller, type DoorServices } from "./services.ts";

type Answer = Promise<Result<ToolAnswer, Refusal>>;
const meshLabel: Label = { integrity: "system", confidentiality: "internal", sources: [] };

/** The message, its dedupe key and the decision are one transaction. */
export async function publish(services: DoorServices, caller: Caller, args: ToolArguments<"bus.publish">): Answer {
  const action = { verb: "topic.publish", topic: args.topic } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const published = services.topics.publish({
    topic: args.topic,
    sender: `agent:${caller.agent}`,
    session: caller.sandbox,
    body: args.body,
    label: agentLabel(caller.agent),
    dedupeKey: args.dedupe_key,
    ttlSeconds: args.ttl_seconds,
    replySeconds: args.reply_seconds,
  });
  if (!published.ok) return published;
  const { id, position, duplicate, writes, done } = published.value;
  await recordAllowed(services, caller, action, asked.value.rule, writes, { message: id, duplicate });
  done();
  services.monitor.emit("topic.published", caller.agent, { topic: args.topic, position });
  return ok({ result: { id, position, duplicate }, label: meshLabel });
}

/** The next messages of the caller's subscription; the subscription and the leases are on disk before the answer. */
export async function pull(
  services: DoorServices,
  caller: Caller,
  { topic, count = 10, wait_ms = 0, from }: ToolArguments<"bus.pull">,
  signal: AbortSignal,
): Answer {
  const action = { verb: "topic.subscribe", topic } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const { rule } = asked.value;
  if (from !== undefined) {
    await recordAllowed(services, caller, action, rule, [], { from });
    return pulled(services.topics.replay(topic, from, count));
  }
  const subscribed = services.topics.subscribe(topic, caller.agent);
  if (!subscribed.ok) return subscribed;
  const { subscription, writes } = subscribed.value;
  if (writes.length > 0) await recordAllowed(services, caller, action, rule, writes, { subscribed: true });
  const deadlineMs = services.clock.monotonicMs() + wait_ms;
  for (;;) {
    const taken = services.topics.take(subscription, count);
    if (!taken.ok) return taken;
    const { messages } = taken.value;
    const leftMs = deadlineMs - services.clock.monotonicMs();
    const over = messages.length > 0 || leftMs <= 0 || signal.aborted;
    if (over || taken.value.writes.length > 0)
      await recordAllowed(services, caller, action, rule, taken.value.writes, { taken: messages.map(({ id }) => id) });
    if (over) return pulled(messages);
    // What had ended without being taken made room: look again before waiting.
    if (taken.value.writes.length === 0)
      await services.topics.waiting.until(topic, Math.min(leftMs, limits.topic.leaseMs), signal, afterOneWake());
  }
}

/** Settles what the caller holds: worked off, or rejected with a reason. */
export async function acknowledge(
  services: DoorServices,
  caller: Caller,
  { topic, ids, reject }: ToolArguments<"bus.ack">,
): Answer {
  const action = { verb: "topic.subscribe", topic } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const settled = services.topics.settle(topic, caller.agent, ids, reject);
  if (!settled.ok) return settled;
  const rejected = reject !== undefined;
  await recordAllowed(services, caller, action, asked.value.rule, settled.value, { settled: ids, rejected });
  if (rejected) services.monitor.emit("topic.dead_letter", caller.agent, { topic, messages: ids.length });
  return ok({ result: { settled: new Set(ids).size }, label: meshLabel });
}

/** Answering sends into the topic as much as publishing does, and needs the same grant besides having taken the request. */
export async function replyTo(
  services: DoorServices,
  caller: Caller,
  { topic, request, body }: ToolArguments<"bus.reply">,
): Answer {
  const action = { verb: "topic.publish", topic } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  const reply = { topic, request, body, label: agentLabel(caller.agent) };
  const replied = services.requests.reply(reply, caller.agent);
  if (!replied.ok) return replied;
  await recordAllowed(services, caller, action, asked.value.rule, replied.value.writes, { request });
  replied.value.done();
  return ok({ result: { request }, label: meshLabel });
}

/** Answers to the caller's own request. */
export async function replies(
  services: DoorServices,
  caller: Caller,
  { topic, request, after = 0, wait_ms = 0 }: ToolArguments<"bus.replies">,
  signal: AbortSignal,
): Answer {
  const action = { verb: "topic.publish", topic } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  await recordAllowed(services, caller, action, asked.value.rule, [], { replies_to: request });
  const sender = `agent:${caller.agent}`;
  const found = await services.requests.replies({ request, sender, after, waitMs: wait_ms }, signal);
  if (!found.ok) return found;
  const all = found.value.map(({ responder, body, atMs }) => ({ from: `agent:${responder}`, body, at_ms: atMs }));
  // The next ones are asked for with `after`.
  const rows = fitting(all);
  const labels = found.value.slice(0, rows.length).map(({ label }) => label);
  return ok({ result: { replies: rows }, label: labels.reduce(joinLabels, meshLabel) });
}

/** What the caller's subscription has lost, and why. */
export async function deadLetters(
  services: DoorServices,
  caller: Caller,
  { topic, after = 0 }: ToolArguments<"bus.dead">,
): Answer {
  const action = { verb: "topic.subscribe", topic } as const;
  const asked = await ask(services, caller, action);
  if (!asked.ok) return asked;
  await recordAllowed(services, caller, action, asked.value.rule, [], { dead_letters: true });
  const letters = services.topics.deadLetters(topic, caller.agent, after).map(({ position, id, reason, atMs }) => {
    return { position, id, reason, at_ms: atMs };
  });
  // A reason may be in the words of the agent that rejected.
  return ok({ result: { letters }, label: agentLabel(caller.agent) });
}

/** Finds something the second time it looks: after one wake. */
function afterOneWake(): () => true | undefined {
  let looks = 0;
  return () => (looks++ > 0 ? true : undefined);
}

function pulled(messages: readonly TopicMessage[]): Result<ToolAnswer, Refusal> {
  const rows = messages.map(({ sender, atMs, replyUntilMs, id, position, body, label, attempt }): PulledMessage => {
    return { id, position, from: sender, body, label, at_ms: atMs, attempt, reply_until_ms: replyUntilMs };
  });
  return ok({ result: { messages: rows }, label: messages.map(({ label }) => label).reduce(joinLabels, meshLabel) });
}
