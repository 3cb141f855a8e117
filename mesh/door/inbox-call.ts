import { err, ok, type Result } from "../../lib/result.ts";
import type { Json } from "../../lib/json.ts";
import { ReplyBody, type Delivery } from "../../protocol/door.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { ask, noRoom, recordRefusal } from "./ask.ts";
import { agentLabel, type Caller, type DoorServices } from "./services.ts";

/** Settles a delivery without an answer. */
export async function done(services: DoorServices, caller: Caller, message: string): Promise<Result<null, Refusal>> {
  const delivery = services.inboxes.pending(caller.agent, message);
  if (!delivery) return err(noDelivery(message));
  const settled = services.inboxes.settle(caller.agent, message);
  await services.audit.record(
    { kind: "message.settled", subject: `agent:${caller.agent}`, detail: { message, answered: false } },
    settled.writes,
  );
  settled.done();
  return ok(null);
}

/** Answers and settles in one transaction. A person who asked is always answered; another agent only if it may be messaged. */
export async function reply(
  services: DoorServices,
  caller: Caller,
  message: string,
  body: Json,
): Promise<Result<{ readonly id: string }, Refusal>> {
  const parsed = ReplyBody.safeParse(body);
  if (!parsed.success)
    return err(refusal("malformed", 'a reply is `{"body": text}`', "send a text of the permitted length"));
  const halted = services.halted(caller.agent);
  if (halted) {
    await recordRefusal(services, caller, { verb: "message.reply", message }, halted);
    return err(halted);
  }
  const delivery = services.inboxes.pending(caller.agent, message);
  if (!delivery) return err(noDelivery(message));
  const [kind, name] = splitSender(delivery.from);
  if (kind === "agent") {
    // Two agents that answer one another without end would fill the disk; a person who asked is answered, once.
    const full = await noRoom(services, caller, { verb: "message.reply", message });
    if (full) return err(full);
    const asked = await ask(services, caller, { verb: "message.send", to: name });
    if (!asked.ok) return asked;
  }
  // Asked again: while the decision was on its way, another request may have ended the delivery. Before anything is
  // posted: what is posted and then not committed would count in its reader's inbox for ever.
  if (!services.inboxes.pending(caller.agent, message)) return err(noDelivery(message));
  const out =
    kind === "agent"
      ? toAgent(services, caller, name, delivery, parsed.data.body)
      : ok(
          services.inboxes.answer(name, `agent:${caller.agent}`, delivery, parsed.data.body, agentLabel(caller.agent)),
        );
  if (!out.ok) return out;
  const settled = services.inboxes.settle(caller.agent, message);
  const { id, writes } = out.value;
  await services.audit.record(
    {
      kind: "message.settled",
      subject: `agent:${caller.agent}`,
      detail: { message, answered: true, answer: id, to: delivery.from },
    },
    [...writes, ...settled.writes],
  );
  out.value.done();
  settled.done();
  services.monitor.emit("message.answered", caller.agent, { to: delivery.from });
  return ok({ id });
}

const toAgent = (services: DoorServices, caller: Caller, to: string, delivery: Delivery, body: string) =>
  services.inboxes.post({
    to,
    from: `agent:${caller.agent}`,
    body,
    label: agentLabel(caller.agent),
    conversation: delivery.conversation,
    replyTo: delivery.id,
  });

function splitSender(sender: string): readonly ["agent" | "principal", string] {
  const name = sender.slice(sender.indexOf(":") + 1);
  return [sender.startsWith("agent:") ? "agent" : "principal", name];
}

const noDelivery = (message: string): Refusal =>
  refusal("not_found", `no open delivery \`${message}\``, "settle what the inbox has handed out, once");
