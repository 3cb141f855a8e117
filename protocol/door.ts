/**
 * The border between a sandbox and the mesh: HTTP/1.1 over the sandbox's own Unix socket.
 *
 *   GET  /v1/self                          -> Self
 *   GET  /v1/inbox?wait_ms=N               -> 200 Delivery | 204
 *   POST /v1/inbox/{messageId}/done        {} -> 204                      settles a delivery
 *   POST /v1/inbox/{messageId}/reply       ReplyBody -> 200 {id}          answers and settles, atomically
 *   POST /v1/tools/{tool}                  the tool's arguments -> 200 ToolAnswer
 *   POST /mcp                              the same tools for clients of the Model Context Protocol
 *   GET  /v1/databases                     -> Databases; with `Upgrade: postgres` a session of one of them
 *   GET  /v1/repositories                  -> Repositories; with `Upgrade: git` a session of one of them (GitOpening)
 *   GET  /openai/v1/models                 the models that the agent may call
 *   POST /openai/v1/chat/completions       OpenAI format, passed through; so are
 *   POST /openai/v1/{responses,embeddings,images/generations,audio/transcriptions}
 *   POST /anthropic[/v1]/messages          Anthropic format, passed through; so is
 *   POST /anthropic/v1/messages/count_tokens
 *   POST /gemini/{v1,v1beta}/models/{provider}/{model}:{generateContent,streamGenerateContent?alt=sse,batchEmbedContents}
 *
 * Anything else is refused. A refusal is a RefusalBody, on model routes the provider's own error shape.
 */
import { z } from "zod";
import type { Label } from "./label.ts";
import { limits } from "./limits.ts";
import { BoardGlob, BoardKey, FilePath, Name } from "./names.ts";
import type { TaskNotice, TaskState } from "./task.ts";

export const doorRoutes = {
  self: "/v1/self",
  /** Model Context Protocol, Streamable HTTP. */
  mcp: "/mcp",
  inbox: "/v1/inbox",
  tools: "/v1/tools",
  /** The certificate, in PEM, that a sandbox is to trust: the web gateway answers in the place of the hosts outside. */
  webAuthority: "/v1/web/authority.pem",
  /** The databases of the agent: Databases. With `Upgrade: postgres` what follows is the protocol of PostgreSQL. */
  databases: "/v1/databases",
  /** The repositories of the agent: Repositories. With `Upgrade: git` a line follows, GitOpening, and then what git says. */
  repositories: "/v1/repositories",
  openaiModels: "/openai/v1/models",
  openaiChat: "/openai/v1/chat/completions",
  openaiResponses: "/openai/v1/responses",
  openaiEmbeddings: "/openai/v1/embeddings",
  openaiImages: "/openai/v1/images/generations",
  openaiTranscriptions: "/openai/v1/audio/transcriptions",
  anthropicMessages: "/anthropic/v1/messages",
  anthropicCount: "/anthropic/v1/messages/count_tokens",
  /** The same to clients that take `ANTHROPIC_BASE_URL` for the folder of the version. */
  anthropicMessagesShort: "/anthropic/messages",
  /** Followed by `PROVIDER/MODEL:METHOD`; clients differ in the version that they name. */
  geminiModels: "/gemini/v1/models/",
  geminiModelsBeta: "/gemini/v1beta/models/",
} as const;

/** What a sandbox is told about itself. No secret, no path of the host. */
export interface Self {
  readonly agent: string;
  readonly fleet: string;
  readonly instructions: string;
  /** `id` goes into `model` of a call; `api` names the wire format of that provider. */
  readonly model: { readonly id: string; readonly api: "openai" | "anthropic" };
  readonly tools: readonly ToolCard[];
  /** Agents that this one may message. */
  readonly peers: readonly string[];
}

/** What an agent connects to without a password, and as whom. */
export interface Databases {
  readonly databases: readonly { readonly name: string; readonly role: string }[];
}

/** What an agent's git clones without a key. */
export interface Repositories {
  readonly repositories: readonly { readonly name: string; readonly url: string; readonly write: boolean }[];
}

/** How git has called `ssh`: all its words, of which the mesh takes those of git alone. */
export const GitOpening = z.strictObject({
  words: z.array(z.string().max(limits.git.openingBytesMax)).max(limits.git.openingWordsMax),
  /** `GIT_PROTOCOL` of its environment. */
  protocol: z.string().max(64).nullable(),
});
export type GitOpening = z.infer<typeof GitOpening>;

/** A tool as a model is shown it; `parameters` is a JSON Schema (draft 2020-12) object. */
export interface ToolCard {
  readonly name: ToolName;
  readonly description: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** Who speaks: an agent of the fleet, or a person or service at the desk. */
export type Sender = `agent:${string}` | `principal:${string}`;

export interface Delivery {
  readonly id: string;
  readonly from: Sender;
  /** Messages that answer one another share it. */
  readonly conversation: string;
  /** Id of the message that this one answers, or null. An answer is never answered automatically (cf. RFC 3834). */
  readonly inReplyTo: string | null;
  readonly body: string;
  readonly label: Label;
  /** Milliseconds since the Unix epoch. */
  readonly sentAtMs: number;
  /** There when the message is about a task: what it says is the mesh's word. */
  readonly task?: TaskNotice;
}

const messageBody = z.string().min(1).max(limits.message.bodyBytesMax);
export const ReplyBody = z.strictObject({ body: messageBody });

const waitMs = z.int().min(0).max(limits.door.inboxWaitMsMax);
const topicMessageId = z.string().regex(/^evt_[a-z0-9]{1,40}$/, "must be the id of a message of a topic");

const taskId = z.string().regex(/^tsk_[a-z0-9]{1,40}$/, "must be the id of a task");
const taskNote = z.string().max(limits.task.noteCharsMax);

/** Every tool of the mesh with the strict form of its arguments: the whole of what an agent can do besides thinking. */
export const toolArguments = {
  "files.list": z.strictObject({}),
  "files.read": z.strictObject({ path: FilePath }),
  "output.write": z.strictObject({ path: FilePath, content: z.string().max(limits.tool.outputBytesMax) }),
  "board.list": z.strictObject({ match: BoardGlob }),
  "board.read": z.strictObject({ key: BoardKey, version: z.int().min(1).optional() }),
  "board.write": z.strictObject({
    key: BoardKey,
    value: z.string().max(limits.board.valueBytesMax),
    /** Compare-and-set: 0 = must not exist, n = must be at version n; absent = whatever is there. */
    if_version: z.int().min(0).optional(),
    ttl_seconds: z.int().min(1).max(limits.board.ttlSecondsMax).optional(),
  }),
  "board.delete": z.strictObject({ key: BoardKey, if_version: z.int().min(1).optional() }),
  "board.watch": z.strictObject({
    match: BoardGlob,
    /** `next` of the last answer, which acknowledges all up to it; absent = where this watch stood, at first now. */
    after: z.string().min(1).max(limits.board.cursorCharsMax).optional(),
    wait_ms: waitMs.optional(),
  }),
  "board.history": z.strictObject({ key: BoardKey, before_version: z.int().min(2).optional() }),
  "bus.publish": z.strictObject({
    topic: BoardKey,
    body: messageBody,
    /** The same key of the same sender within ten minutes is the same message. */
    dedupe_key: z.string().min(1).max(limits.topic.dedupeKeyCharsMax).optional(),
    ttl_seconds: z.int().min(1).max(limits.topic.ttlSecondsMax).optional(),
    /** Makes it a request: subscribers may answer with `bus.reply` for so long. */
    reply_seconds: z.int().min(1).max(limits.topic.replySecondsMax).optional(),
  }),
  "bus.pull": z.strictObject({
    topic: BoardKey,
    count: z.int().min(1).max(limits.topic.pullMessagesMax).optional(),
    wait_ms: waitMs.optional(),
    /** A replay from this position: the subscription does not move, and nothing is to be acknowledged. */
    from: z.int().min(1).optional(),
  }),
  "bus.ack": z.strictObject({
    topic: BoardKey,
    ids: z.array(topicMessageId).min(1).max(limits.topic.leasedMessagesMax),
    /** Makes dead letters of them, with this reason. */
    reject: z.string().min(1).max(limits.topic.reasonCharsMax).optional(),
  }),
  "bus.reply": z.strictObject({ topic: BoardKey, request: topicMessageId, body: messageBody }),
  "bus.replies": z.strictObject({
    topic: BoardKey,
    request: topicMessageId,
    after: z.int().min(0).max(limits.topic.repliesMax).optional(),
    wait_ms: waitMs.optional(),
  }),
  "bus.dead": z.strictObject({ topic: BoardKey, after: z.int().min(0).optional() }),
  "task.create": z.strictObject({
    to: Name,
    title: z.string().min(1).max(limits.task.titleCharsMax),
    input: z.string().max(limits.task.inputBytesMax).optional(),
    deadline_seconds: z.int().min(1).max(limits.task.deadlineSecondsMax).optional(),
  }),
  "task.handoff": z.strictObject({ task: taskId, to: Name, note: taskNote.optional() }),
  "task.update": z.strictObject({ task: taskId, state: z.enum(["working", "blocked"]), note: taskNote.optional() }),
  "task.done": z.strictObject({
    task: taskId,
    failed: z.boolean().optional(),
    result: z.string().max(limits.task.resultBytesMax),
  }),
  "task.list": z.strictObject({}),
  "message.send": z.strictObject({ to: Name, body: messageBody, conversation: z.string().max(64).optional() }),
} as const;

export type ToolName = keyof typeof toolArguments;
export const toolNames = Object.keys(toolArguments) as readonly ToolName[];
export type ToolArguments<T extends ToolName> = z.infer<(typeof toolArguments)[T]>;

/** `label` tells the reader where the content came from. */
export interface ToolAnswer {
  readonly result: unknown;
  readonly label: Label;
}

export interface ToolResults {
  "files.list": { readonly files: readonly { readonly path: string; readonly bytes: number }[] };
  "files.read": { readonly path: string; readonly content: string };
  "output.write": { readonly path: string; readonly bytes: number };
  "board.list": { readonly keys: readonly { readonly key: string; readonly version: number }[] };
  "board.read": { readonly key: string; readonly version: number; readonly value: string; readonly writer: string };
  "board.write": { readonly key: string; readonly version: number };
  "board.delete": { readonly key: string; readonly version: number };
  "board.watch": {
    readonly changes: readonly {
      readonly key: string;
      readonly version: number;
      /** null: the version has left the history since. */
      readonly writer: string | null;
      readonly deleted: boolean;
    }[];
    readonly next: string;
  };
  "board.history": {
    readonly versions: readonly {
      readonly version: number;
      readonly writer: string;
      readonly session: string;
      readonly at_ms: number;
      readonly deleted: boolean;
    }[];
  };
  "bus.publish": { readonly id: string; readonly position: number; readonly duplicate: boolean };
  "bus.pull": { readonly messages: readonly PulledMessage[] };
  "bus.ack": { readonly settled: number };
  "bus.reply": { readonly request: string };
  "bus.replies": {
    readonly replies: readonly { readonly from: string; readonly body: string; readonly at_ms: number }[];
  };
  "bus.dead": {
    readonly letters: readonly {
      readonly position: number;
      readonly id: string;
      readonly reason: string;
      readonly at_ms: number;
    }[];
  };
  "task.create": ChangedTask;
  "task.handoff": ChangedTask;
  "task.update": ChangedTask;
  "task.done": ChangedTask;
  "task.list": {
    readonly tasks: readonly {
      readonly id: string;
      readonly title: string;
      readonly state: TaskState;
      readonly creator: string;
      readonly assignee: string;
      readonly depth: number;
      readonly deadline_at_ms: number;
      readonly note: string;
      readonly result: string | null;
    }[];
  };
  "message.send": { readonly id: string };
}

export interface ChangedTask {
  readonly task: string;
  readonly state: TaskState;
  readonly assignee: string;
  readonly depth: number;
  readonly hops: number;
}

export interface PulledMessage {
  readonly id: string;
  readonly position: number;
  readonly from: string;
  readonly body: string;
  readonly label: Label;
  readonly at_ms: number;
  /** How often this subscription has been handed it; 0 in a replay. */
  readonly attempt: number;
  readonly reply_until_ms: number | null;
}
