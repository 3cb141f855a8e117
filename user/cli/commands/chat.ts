import { createInterface } from "node:readline/promises";
import { limits } from "../../../protocol/limits.ts";
import type { Reply } from "../../../protocol/desk.ts";
import { jsonOption, stateOptions, type Command, type Context } from "../command.ts";
import { openDesk, type Desk } from "../desk-client.ts";
import { Failure, type ExitCode } from "../failure.ts";
import { lastCallFailure } from "../last-call.ts";
import { tint } from "../line.ts";
import { placesOf } from "../places.ts";

export const chat: Command = {
  name: "chat",
  summary: "talk to an agent",
  usage: "AGENT [-m TEXT] [--json] [--state DIR]",
  options: {
    message: { value: "TEXT", short: "m", help: "send this, print the reply and end" },
    timeout: { value: "SECONDS", help: "longest wait for a reply (default: 300)" },
    ...jsonOption,
    ...stateOptions,
  },
  words: [1, 1],
  async run(input, context) {
    const agent = input.words[0] ?? "";
    const timeoutMs = input.count("timeout", 300, 1, 86_400) * 1_000;
    const desk = await openDesk(placesOf(input, context).state);
    const talk: Talk = { desk, agent, timeoutMs, conversation: undefined, lastMessage: "", lastReply: 0 };
    const text = input.text("message");
    if (text === undefined) return interactive(talk, context);
    const reply = await ask(talk, text, context);
    if (input.flag("json")) context.terminal.json(reply);
    else context.terminal.print(reply.body);
    const failure = await lastCallFailure(desk, agent, talk.lastMessage);
    if (failure === undefined) return 0;
    throw new Failure(failure, `do what \`${agent}\` was told, see above; more with \`cordon audit show\``);
  },
};

interface Talk {
  readonly desk: Desk;
  readonly agent: string;
  readonly timeoutMs: number;
  conversation: string | undefined;
  /** Id of the last message that was sent. */
  lastMessage: string;
  /** Number of the last reply that was read. */
  lastReply: number;
}

async function interactive(talk: Talk, context: Context): Promise<ExitCode> {
  const { stdin, stderr, terminal } = context;
  const tty = stdin.isTTY === true;
  terminal.note(tint("faint", `talking to ${talk.agent}; an empty line or Ctrl-D ends`));
  const lines = createInterface({ input: stdin, output: stderr, terminal: tty, prompt: "you ▸ " });
  const left = new AbortController();
  // A person who closes the terminal no longer waits; a pipe that ends has asked its last question.
  if (tty) lines.once("close", () => left.abort());
  const prompt = (): void => {
    if (tty && !left.signal.aborted) lines.prompt();
  };
  try {
    prompt();
    for await (const line of lines) {
      if (line.trim() === "") break;
      const reply = await ask(talk, line, context, left.signal);
      terminal.print([tint("accent", `${reply.from} ▸ `), reply.body]);
      prompt();
    }
  } catch (error) {
    if (!left.signal.aborted) throw error;
  } finally {
    lines.close();
  }
  return 0;
}

/** Sends one message and waits for its reply; says why when the agent cannot give one. */
async function ask(talk: Talk, body: string, context: Context, signal?: AbortSignal): Promise<Reply> {
  const { desk, agent } = talk;
  if (Buffer.byteLength(body) > limits.message.bodyBytesMax) {
    throw new Failure(`the message is longer than ${limits.message.bodyBytesMax} bytes`, "send it in parts");
  }
  const sent = await desk.send(agent, body, talk.conversation);
  talk.conversation = sent.conversation;
  talk.lastMessage = sent.id;
  const start = context.clock.monotonicMs();
  const beat = setInterval(() => {
    const seconds = Math.floor((context.clock.monotonicMs() - start) / 1_000);
    context.terminal.live(tint("faint", `${agent} is thinking … ${seconds} s`));
  }, 250);
  try {
    while (context.clock.monotonicMs() - start < talk.timeoutMs) {
      const reply = await desk.reply(sent.conversation, talk.lastReply, REPLY_WAIT_MS, signal);
      if (reply) {
        talk.lastReply = reply.seq;
        return reply;
      }
      await requireAwake(desk, agent);
    }
  } finally {
    clearInterval(beat);
    context.terminal.settle();
  }
  throw new Failure(
    `\`${agent}\` has not answered within ${talk.timeoutMs / 1_000} s`,
    `see \`cordon logs ${agent}\`; wait longer with \`--timeout\``,
  );
}

/** Short, so that an agent that was halted while we wait is noticed soon. */
const REPLY_WAIT_MS = 5_000;

async function requireAwake(desk: Desk, agent: string): Promise<void> {
  const found = (await desk.status()).agents.find((one) => one.name === agent);
  if (!found || !["halted", "failed"].includes(found.phase)) return;
  throw new Failure(
    `\`${agent}\` is ${found.phase}: ${found.reason || "no reason given"}`,
    "see `cordon costs` and `cordon logs`",
  );
}
