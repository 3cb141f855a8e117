import type { MeshEvent } from "../../protocol/desk.ts";
import type { Desk } from "./desk-client.ts";

const PAGES_MAX = 100;

/**
 * Why the last call that an agent made after it was sent `message` did not come about; undefined when it did.
 * By the mesh's own events: what an agent says about itself decides nothing.
 */
export async function lastCallFailure(desk: Desk, agent: string, message: string): Promise<string | undefined> {
  let reason: string | undefined;
  let sent = false;
  let next = 0;
  for (let page = 0; page < PAGES_MAX; page++) {
    const { events, next: after } = await desk.events(next, 0);
    if (events.length === 0) break;
    next = after;
    for (const event of events) {
      if (event.agent !== agent) continue;
      if (event.type === "message.posted" && event.detail["message"] === message) sent = true;
      if (sent && ["call.denied", "model.settled"].includes(event.type)) reason = failureOf(event);
    }
  }
  return reason;
}

function failureOf({ type, detail }: MeshEvent): string | undefined {
  if (type === "call.denied") return String(detail["reason"] ?? "denied");
  const failed = ["failed", "passed_error", "fault"].includes(String(detail["outcome"]));
  return failed ? `the call of \`${String(detail["model"])}\` failed` : undefined;
}
