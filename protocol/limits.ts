import { border } from "./limits/border.ts";
import { coordination } from "./limits/coordination.ts";
import { outward } from "./limits/outward.ts";
import { records } from "./limits/records.ts";
import { sandboxes } from "./limits/sandboxes.ts";

/**
 * Every limit in one place, with its unit in its name. A limit that depends on another is asserted at the end of this
 * file, so that a careless edit does not load.
 */
export const limits = { ...border, ...coordination, ...sandboxes, ...outward, ...records } as const;

const holds: readonly (readonly [boolean, string])[] = [
  [limits.door.toolBodyBytesMax <= limits.door.bodyBytesMax, "toolBodyBytesMax <= bodyBytesMax"],
  [limits.board.valueBytesMax < limits.door.toolBodyBytesMax, "board value fits a tool body"],
  [limits.message.bodyBytesMax < limits.door.toolBodyBytesMax, "message fits a tool body"],
  [limits.tool.outputBytesMax <= limits.door.toolBodyBytesMax, "output fits a tool body"],
  [limits.door.inboxWaitMsMax < limits.door.requestTimeoutMs, "an inbox wait ends before its request does"],
  [limits.door.requestsConcurrentMax <= limits.door.connectionsMax, "a request has a connection"],
  [
    limits.door.requestsBurst < limits.sandbox.doorConnectionsBurst &&
      limits.door.requestsPerSecond < limits.sandbox.doorConnectionsPerSecond,
    "who needs a connection for each request is answered, if only with a refusal",
  ],
  [limits.door.requestsConcurrentMax < limits.model.connectionsMax, "no sandbox holds every connection to a provider"],
  [
    limits.message.attemptsMax < limits.sandbox.restartsPerMinuteMax,
    "a message that kills its reader is given up before the reader is",
  ],
  [limits.message.inboxFromAgentsMax < limits.message.inboxMessagesMax, "people get through to a full inbox"],
  [limits.tool.fileBytesMax <= limits.tool.resultBytesMax, "a file fits a tool result"],
  [limits.tool.fileBytesMax < limits.agent.toolContentBytesMax, "a file fits what the agent shows its model"],
  [
    limits.agent.historyBytesMax + 2 * limits.fleet.instructionsBytesMax < limits.door.bodyBytesMax,
    "history and instructions fit a model call",
  ],
  [limits.agent.historyMessagesMax < limits.model.messagesMax, "history fits a model call"],
  [limits.agent.relayIdleMs > limits.model.totalTimeoutMs, "the relay outlives a model call"],
  [limits.ledger.priceFileBytesMax < limits.desk.bodyBytesMax, "a list of prices fits a request to the desk"],
  [limits.hook.bodyBytesMax * 2 < limits.desk.bodyBytesMax, "a webhook fits a request to the desk, also in base64"],
  [limits.hook.deliveryKeptMs > 2 * limits.hook.windowMsMax, "a delivery is remembered beyond its window"],
  [limits.hook.bodyBytesMax < limits.message.bodyBytesMax, "a webhook fits a message"],
  [
    limits.schedule.intervalMsMin * limits.schedule.firingsPerDayMax >= 86_400_000,
    "one job of the shortest interval is allowed",
  ],
  [limits.git.toldBytesMax * 2 <= limits.audit.detailBytesMax, "the evidence of a push fits a record"],
  [limits.board.keysPerWriterMax < limits.board.keysPerFleetMax, "no writer alone fills the board"],
  [limits.topic.topicsPerSenderMax < limits.topic.topicsMax, "nobody alone fills the bus"],
  [limits.topic.leasedMessagesMax <= limits.topic.windowMessagesMax, "what is taken fits the window"],
  [limits.topic.windowMessagesMax < limits.topic.messagesMax, "the window fits the log"],
  [limits.workflow.stepTimeoutMsDefault <= limits.workflow.runTimeoutMsDefault, "a run outlives one attempt"],
  [limits.workflow.mapItemsDefault <= limits.workflow.mapItemsMax, "the default of map items is allowed"],
  [limits.door.bodyBytesMax < limits.rehearsal.bodyBytesMax, "a door body fits the rehearsal model"],
  [limits.sound.bodyBytesMax * 1.5 < limits.sound.sentBytesMax, "sound fits what is sent on, with its frame"],
  [3 * limits.sound.bodyBytesMax <= limits.door.bodiesBytesMax, "one sandbox can send the largest sound"],
  [
    4 * limits.door.bodyBytesMax <= limits.door.bodiesOwnBytes,
    "what is left to a sandbox is enough for the largest call",
  ],
  [
    limits.assault.siblingLifetimeMs > limits.assault.timeoutMs + limits.assault.startTimeoutMs,
    "the sibling outlives the attempts",
  ],
];
for (const [held, relation] of holds) if (!held) throw new Error(`limits contradict each other: ${relation}`);
