import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Delivery, doorRoutes, Self, ToolAnswer } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { createBackOff } from "./back-off.ts";
import { doorRequest, type DoorRequest, type DoorResponse } from "./door-request.ts";
import { readRefusal, tryJson } from "./read-refusal.ts";

/** What this agent uses of the border's table, written out: its module carries the schema library, which no sandbox has. */
export const routes: Pick<typeof doorRoutes, "self" | "inbox" | "tools" | "openaiChat" | "anthropicMessages"> = {
  self: "/v1/self",
  inbox: "/v1/inbox",
  tools: "/v1/tools",
  openaiChat: "/openai/v1/chat/completions",
  anthropicMessages: "/anthropic/v1/messages",
};

/** All that a sandbox can ask for. Nothing here throws for what the door may answer: a refusal is a value. */
export interface DoorClient {
  self(): Promise<Result<Self, Refusal>>;
  /** Waits up to `waitMs` for a message; undefined = none came. Never retried here. */
  nextDelivery(waitMs: number, signal?: AbortSignal): Promise<Result<Delivery | undefined, Refusal>>;
  done(deliveryId: string): Promise<Result<void, Refusal>>;
  reply(deliveryId: string, body: string): Promise<Result<void, Refusal>>;
  tool(name: string, toolArguments: object): Promise<Result<ToolAnswer, Refusal>>;
  /** Posts `body` to a model route and hands the event stream to `onStream` as it comes. */
  stream(call: ModelPost): Promise<Result<void, Refusal>>;
}

export interface ModelPost {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly onStream: (text: string) => string | undefined;
}

export interface DoorClientOptions {
  readonly socketPath: string;
  readonly clock: Clock;
  readonly id: Id;
  /** Ends everything under way. */
  readonly signal?: AbortSignal;
}

const quick = {
  idleMs: limits.door.requestTimeoutMs,
  totalMs: limits.door.requestTimeoutMs,
  responseBytesMax: 2 * limits.tool.resultBytesMax,
};

export function createDoorClient({ socketPath, clock, id, signal }: DoorClientOptions): DoorClient {
  const withSignal = (ask: DoorRequest): DoorRequest => (signal && !ask.signal ? { ...ask, signal } : ask);

  async function once(ask: DoorRequest): Promise<Result<DoorResponse, Refusal & { readonly sent: boolean }>> {
    const outcome = await doorRequest(socketPath, withSignal(ask));
    if (!outcome.ok) {
      const { reason, sent } = outcome.error;
      return err({ ...refusal(sent ? "upstream_failed" : "busy", `the door: ${reason}`, "try again later"), sent });
    }
    const { status, text } = outcome.value;
    return status >= 200 && status < 300 ? outcome : err({ ...readRefusal(status, text), sent: true });
  }

  /** Tries again only what has certainly had no effect: never reached the door, or was turned away unread. */
  async function patiently(ask: DoorRequest): Promise<Result<DoorResponse, Refusal>> {
    const backOff = createBackOff(id, { minMs: limits.agent.backOffMsMin, maxMs: limits.agent.backOffMsMax });
    for (let attempt = 1; ; attempt++) {
      const outcome = await once(ask);
      if (outcome.ok) return outcome;
      const { code, reason, remedy } = outcome.error;
      const harmless = code === "busy" || code === "rate_limited";
      if (!harmless || attempt >= limits.agent.attemptsMax || signal?.aborted)
        return err(refusal(code, reason, remedy));
      await clock.sleep(backOff.next());
    }
  }

  const settle = async (path: string, body: object): Promise<Result<void, Refusal>> => {
    const outcome = await patiently({ ...quick, method: "POST", path, body: JSON.stringify(body) });
    return outcome.ok ? ok(undefined) : outcome;
  };
  const inboxPath = (deliveryId: string, verb: "done" | "reply"): string =>
    `${routes.inbox}/${encodeURIComponent(deliveryId)}/${verb}`;

  return {
    self: async () => parsed<Self>(await patiently({ ...quick, method: "GET", path: routes.self })),
    async nextDelivery(waitMs, pollSignal) {
      const margin = limits.door.requestTimeoutMs - limits.door.inboxWaitMsMax;
      const bounds = { ...quick, idleMs: waitMs + margin, totalMs: waitMs + margin };
      const ask: DoorRequest = { ...bounds, method: "GET", path: `${routes.inbox}?wait_ms=${waitMs}` };
      const outcome = await once(pollSignal ? { ...ask, signal: pollSignal } : ask);
      if (outcome.ok && outcome.value.status === 204) return ok(undefined);
      return parsed<Delivery>(outcome);
    },
    done: (deliveryId) => settle(inboxPath(deliveryId, "done"), {}),
    reply: (deliveryId, body) => settle(inboxPath(deliveryId, "reply"), { body }),
    async tool(name, toolArguments) {
      const path = `${routes.tools}/${encodeURIComponent(name)}`;
      return parsed<ToolAnswer>(
        await patiently({ ...quick, method: "POST", path, body: JSON.stringify(toolArguments) }),
      );
    },
    async stream({ path, headers, body, onStream }) {
      const outcome = await patiently({
        method: "POST",
        path,
        headers,
        body,
        onStream,
        idleMs: limits.model.firstByteTimeoutMs,
        totalMs: limits.model.totalTimeoutMs,
        responseBytesMax: limits.model.responseBytesMax,
      });
      if (!outcome.ok) return outcome;
      return outcome.value.streamed ? ok(undefined) : err(refusal("upstream_failed", "the model did not stream", ""));
    },
  };
}

/** The door is trusted to keep the border's types; what is not JSON at all is still an answer, not an exception. */
function parsed<T>(outcome: Result<DoorResponse, Refusal>): Result<T, Refusal> {
  if (!outcome.ok) return outcome;
  const value = tryJson(outcome.value.text);
  if (typeof value === "object" && value !== null) return ok(value as T);
  return err(refusal("upstream_failed", "the door answered with something that is not JSON", "try again later"));
}
