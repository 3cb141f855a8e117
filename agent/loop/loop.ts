import type { Clock } from "../../lib/clock.ts";
import type { Id } from "../../lib/id.ts";
import { err } from "../../lib/result.ts";
import type { Delivery, Self } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Log } from "../init/log.ts";
import { describeFault } from "../init/log.ts";
import { localTools } from "../tools/local-tools.ts";
import { createToolbox } from "../tools/toolbox.ts";
import { answerDelivery } from "./answer-delivery.ts";
import { createBackOff } from "./back-off.ts";
import { createDoorClient, type DoorClient } from "./door-client.ts";
import { runExchange, type ExchangeTools } from "./exchange.ts";
import { openSessions } from "./session-files.ts";

export interface LoopOptions {
  readonly doorSocket: string;
  /** The agent's own volume. */
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly id: Id;
  readonly log: Log;
  /** Ends the loop. */
  readonly signal: AbortSignal;
}

/**
 * Waits for messages and works on them, one after another, until `signal`. Idle, it is one pending request.
 * Nothing that goes wrong with one message ends it.
 */
export async function runLoop(options: LoopOptions): Promise<void> {
  const { clock, id, log, signal } = options;
  const door = createDoorClient({ socketPath: options.doorSocket, clock, id, signal });
  const wait = createWait(options);
  // Asked beside who it is, so that whoever was woken for a message has it a round trip earlier.
  let asked: ReturnType<DoorClient["nextDelivery"]> | undefined = door.nextDelivery(limits.door.inboxWaitMsMax, signal);
  const self = await learnSelf(door, wait, signal);
  if (!self) return;
  log("info", "loop.ready", { agent: self.agent, model: self.model.id, tools: self.tools.length });
  const sessions = openSessions(`${options.dataFolder}/sessions`, log);
  const toolbox = createToolbox(door, self.tools, localTools(`${options.dataFolder}/files`));
  const tools: ExchangeTools = { door, self, toolbox, sessions };
  while (!signal.aborted) {
    const next = await (asked ?? door.nextDelivery(limits.door.inboxWaitMsMax, signal));
    asked = undefined;
    if (!next.ok) await wait.after(next.error);
    else wait.over();
    if (next.ok && next.value) await handle(tools, next.value, log);
  }
}

async function handle(tools: ExchangeTools, delivery: Delivery, log: Log): Promise<void> {
  const { id, from, conversation } = delivery;
  log("info", "message.taken", { delivery: id, from, conversation });
  try {
    const outcome = await runExchange(tools, delivery);
    if (!outcome.ok)
      log("warn", "work.stopped", { delivery: id, code: outcome.error.code, reason: outcome.error.reason });
    await answerDelivery({ ...tools, log }, delivery, outcome);
  } catch (fault) {
    // A message that breaks the agent is settled, or it would come again and break it again.
    log("error", "work.crashed", { delivery: id, fault: describeFault(fault) });
    await answerDelivery(
      { ...tools, log },
      delivery,
      err(refusal("unsupported", "the agent failed on this message", "")),
    );
  }
  log("info", "message.settled", { delivery: id });
}

interface Wait {
  after(fault: Refusal): Promise<void>;
  over(): void;
}

/** Waits between failed polls, longer each time, and speaks of it once. */
function createWait({ clock, id, log, signal }: LoopOptions): Wait {
  const backOff = createBackOff(id, { minMs: limits.agent.backOffMsMin, maxMs: limits.agent.backOffMsMax });
  let spoken = "";
  return {
    async after(fault) {
      if (signal.aborted) return;
      if (fault.code !== spoken) log("warn", "door.refuses", { code: fault.code, reason: fault.reason });
      spoken = fault.code;
      await clock.sleep(backOff.next(), signal).catch(() => undefined);
    },
    over() {
      if (spoken !== "") log("info", "door.answers");
      spoken = "";
      backOff.reset();
    },
  };
}

async function learnSelf(door: DoorClient, wait: Wait, signal: AbortSignal): Promise<Self | undefined> {
  while (!signal.aborted) {
    const self = await door.self();
    if (self.ok) {
      wait.over();
      return self.value;
    }
    await wait.after(self.error);
  }
  return undefined;
}
