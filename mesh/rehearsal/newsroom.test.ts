import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { toolArguments, toolNames, type ToolName } from "../../protocol/door.ts";
import type { Rehearsal } from "./rehearsal.ts";
import { parseScenario } from "./scenario/parse.ts";
import { askAnthropic, askOpenAi, startForTest } from "./testing/client.ts";
import { hearAnthropicStream, hearOpenAiStream, type Heard } from "./testing/streams.ts";

const example = new URL("../../examples/newsroom/", import.meta.url);
const read = (path: string): string => readFileSync(new URL(path, example), "utf8");
const texts = new Map(readdirSync(new URL("texts/", example)).map((name) => [name, read(`texts/${name}`)]));

let server: Rehearsal;
before(async () => {
  const scenario = parseScenario(read("rehearsal.yaml"));
  assert.ok(scenario.ok);
  server = await startForTest([scenario.value]);
});
after(() => server.close());

type Tools = (tool: ToolName, input: Record<string, unknown>) => unknown;
const refused = (reason: string): unknown => ({ error: { code: "denied", reason, remedy: "ask the operator" } });

/** A newsroom in memory: the tools as the mesh gives them, with what the fleet file allows each agent. */
class Newsroom {
  readonly files: ReadonlyMap<string, string>;
  readonly board = new Map<string, string>();
  readonly output = new Map<string, string>();
  readonly sent: { to: string; body: string }[] = [];
  readonly unreadable = new Set<string>();

  constructor(files: ReadonlyMap<string, string>) {
    this.files = files;
  }

  readonly researcher: Tools = (tool, input) => {
    const text = (name: string): string => String(input[name]);
    switch (tool) {
      case "files.list":
        return { files: [...this.files].map(([path, content]) => ({ path, bytes: Buffer.byteLength(content) })) };
      case "files.read":
        return this.unreadable.has(text("path"))
          ? refused("unreadable")
          : { path: text("path"), content: this.files.get(text("path")) };
      case "board.write":
        this.board.set(text("key"), text("value"));
        return { key: text("key"), version: 1 };
      case "message.send":
        if (text("to") !== "writer") return refused(`\`researcher\` may not message \`${text("to")}\``);
        this.sent.push({ to: text("to"), body: text("body") });
        return { id: "msg_1" };
      default:
        return refused(`no ${tool} here`);
    }
  };

  readonly writer: Tools = (tool, input) => {
    switch (tool) {
      case "board.list":
        return { keys: [...this.board.keys()].map((key) => ({ key, version: 1 })) };
      case "board.read":
        return { key: input["key"], version: 1, value: this.board.get(String(input["key"])), writer: "researcher" };
      case "output.write":
        this.output.set(String(input["path"]), String(input["content"]));
        return { path: input["path"], bytes: Buffer.byteLength(String(input["content"])) };
      default:
        return refused(`no ${tool} here`);
    }
  };
}

interface Job {
  readonly prompt: string;
  readonly message: string;
  readonly tools: Tools;
  readonly maxTokens: number;
}
interface Worked {
  readonly words: string;
  readonly rounds: number;
  readonly calls: readonly string[];
}

/** Every argument passes the door's own schema, as it would have to at the door. */
function runCall(tools: Tools, call: Heard["calls"][number]): string {
  const tool = toolNames.find((name) => name.replaceAll(".", "_") === call.name);
  assert.ok(tool, `unknown tool ${call.name}`);
  return JSON.stringify(tools(tool, toolArguments[tool].parse(JSON.parse(call.arguments))));
}

const declared = toolNames.map((name) => name.replaceAll(".", "_"));

async function workOpenAi({ prompt, message, tools, maxTokens }: Job): Promise<Worked> {
  const messages: object[] = [
    { role: "system", content: prompt },
    { role: "user", content: message },
  ];
  const calls: string[] = [];
  for (let rounds = 1; rounds < 33; rounds++) {
    const answered = await askOpenAi(server, {
      model: "rehearsal/newsroom",
      messages,
      tools: declared.map((name) => ({ type: "function", function: { name, parameters: {} } })),
      max_completion_tokens: maxTokens,
      stream: true,
      stream_options: { include_usage: true },
    });
    assert.equal(answered.status, 200, answered.text);
    const heard = hearOpenAiStream(answered.text);
    assert.notEqual(heard.finish, "length");
    if (heard.calls.length === 0) return { words: heard.text, rounds, calls };
    calls.push(...heard.calls.map((call) => call.name));
    messages.push({
      role: "assistant",
      content: null,
      tool_calls: heard.calls.map(({ id, ...rest }) => ({ id, type: "function", function: rest })),
    });
    for (const call of heard.calls)
      messages.push({ role: "tool", tool_call_id: call.id, content: runCall(tools, call) });
  }
  return assert.fail("did not finish in 32 rounds");
}

async function workAnthropic({ prompt, message, tools, maxTokens }: Job): Promise<Worked> {
  const messages: object[] = [{ role: "user", content: message }];
  const calls: string[] = [];
  for (let rounds = 1; rounds < 33; rounds++) {
    const answered = await askAnthropic(server, {
      model: "newsroom",
      system: prompt,
      messages,
      tools: declared.map((name) => ({ name, input_schema: {} })),
      max_tokens: maxTokens,
      stream: true,
    });
    assert.equal(answered.status, 200, answered.text);
    const heard = hearAnthropicStream(answered.text);
    if (heard.calls.length === 0) return { words: heard.text, rounds, calls };
    calls.push(...heard.calls.map((call) => call.name));
    messages.push(
      {
        role: "assistant",
        content: heard.calls.map((call) => ({
          type: "tool_use",
          id: call.id,
          name: call.name,
          input: JSON.parse(call.arguments),
        })),
      },
      {
        role: "user",
        content: heard.calls.map((call) => ({
          type: "tool_result",
          tool_use_id: call.id,
          content: runCall(tools, call),
        })),
      },
    );
  }
  return assert.fail("did not finish in 32 rounds");
}

const order =
  "Message from principal:operator:\nRead every text, extract notes, and let the writer compose the digest.";

for (const [format, work] of [
  ["openai", workOpenAi],
  ["anthropic", workAnthropic],
] as const) {
  test(`${format}: the newsroom makes notes and a digest of the texts of the example`, async () => {
    const room = new Newsroom(texts);
    const researched = await work({
      prompt: read("prompts/researcher.md"),
      message: order,
      tools: room.researcher,
      maxTokens: 4_096,
    });
    assert.ok(texts.size >= 6);
    assert.deepEqual([...room.board.keys()].sort(), [...texts.keys()].map((name) => `digest/notes/${name}`).sort());
    for (const [key, note] of room.board) {
      const source = texts.get(key.slice("digest/notes/".length)) ?? "";
      const points = note.split("\n").filter((line) => line.startsWith("- "));
      assert.ok(points.length >= 3, key);
      const folded = source.replace(/[*_`]/g, "").replace(/\s+/g, " ");
      for (const point of points) assert.ok(folded.includes(point.slice(2)), `not in ${key}: ${point}`);
    }
    assert.equal(room.sent.length, 1, "only the writer got a message");
    for (const key of room.board.keys()) assert.ok(room.sent[0]?.body.includes(key));
    assert.match(researched.words, /8 texts.*Refused: message_send.*may not message `intern`/s);

    const message = `Message from agent:researcher:\n${room.sent[0]?.body}`;
    const written = await work({ prompt: read("prompts/writer.md"), message, tools: room.writer, maxTokens: 4_096 });
    assert.deepEqual(written.calls, ["board_list", ...[...texts].map(() => "board_read"), "output_write"]);
    const digest = room.output.get("digest.md") ?? "";
    assert.match(digest, /^# Digest of 8 texts\n/);
    for (const name of texts.keys()) assert.ok(digest.includes(`Source: ${name}`), name);
    assert.match(digest, /- Four score and seven years ago/);
    assert.match(digest, /rehearsal model/);
    assert.match(written.words, /digest of 8 texts is in digest\.md/);
  });

  test(`${format}: many texts of any name, an unreadable one, and little room for each answer`, async () => {
    const many = Array.from(
      { length: 30 },
      (_, i) =>
        [
          `Folder ${i % 3}/Täxt ${i}.md`,
          `# Report ${i}\n\nThe mill on river ${i} grinds corn for ${i + 2} villages. Its wheel turns day and night.\n`,
        ] as const,
    );
    const room = new Newsroom(new Map(many));
    room.unreadable.add(many[4]?.[0] ?? "");
    const researched = await work({
      prompt: read("prompts/researcher.md"),
      message: order,
      tools: room.researcher,
      maxTokens: 1_024,
    });
    assert.equal(room.board.size, 29);
    assert.equal(room.sent.length, 1);
    assert.match(researched.words, /29 of 30 texts.*unreadable/s);
    const message = `Message from agent:researcher:\n${room.sent[0]?.body}`;
    await work({ prompt: read("prompts/writer.md"), message, tools: room.writer, maxTokens: 1_024 });
    assert.match(room.output.get("digest.md") ?? "", /^# Digest of 29 texts\n/);
  });

  test(`${format}: answers between agents end, an empty folder is reported`, async () => {
    const room = new Newsroom(new Map());
    const tools = room.researcher;
    const prompt = read("prompts/researcher.md");
    const report = await work({
      prompt,
      message: "Message from agent:writer:\nThe digest is done.",
      tools,
      maxTokens: 4_096,
    });
    assert.deepEqual(report, { words: "", rounds: 1, calls: [] });
    const thanks = await work({
      prompt: read("prompts/writer.md"),
      message: "Message from agent:researcher:\nThanks.",
      tools: room.writer,
      maxTokens: 4_096,
    });
    assert.deepEqual(thanks, { words: "", rounds: 1, calls: [] });
    const empty = await work({ prompt, message: order, tools, maxTokens: 4_096 });
    assert.match(empty.words, /could write no notes: there are 0 texts/);
    assert.equal(room.sent.length, 0);
  });
}

test("both formats work through the same calls", async () => {
  const [a, b] = [new Newsroom(texts), new Newsroom(texts)];
  const prompt = read("prompts/researcher.md");
  const openAi = await workOpenAi({ prompt, message: order, tools: a.researcher, maxTokens: 2_048 });
  const anthropic = await workAnthropic({ prompt, message: order, tools: b.researcher, maxTokens: 2_048 });
  assert.deepEqual(openAi, anthropic);
  assert.deepEqual([...a.board], [...b.board]);
});
