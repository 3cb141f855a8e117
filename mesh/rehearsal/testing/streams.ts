import assert from "node:assert/strict";

/** What a client makes of an answer, streamed or not, in either format. */
export interface Heard {
  text: string;
  calls: { id: string; name: string; arguments: string }[];
  finish: string | null;
  inputTokens: number | null;
  outputTokens: number | null;
}

/** Server-Sent Events as clients read them: an optional event name and one line of data. */
export function readEvents(text: string): { event: string | null; data: string }[] {
  assert.ok(text.endsWith("\n\n"), "the stream ends with a whole frame");
  return text
    .slice(0, -2)
    .split("\n\n")
    .map((frame) => {
      const lines = frame.split("\n");
      const data = lines.filter((line) => line.startsWith("data: "));
      assert.equal(data.length, 1);
      return {
        event: lines.find((line) => line.startsWith("event: "))?.slice(7) ?? null,
        data: data[0]?.slice(6) ?? "",
      };
    });
}

/** Answers are walked as the untyped JSON that they are: a wrong step fails the test. */
type Loose = ReturnType<typeof JSON.parse>;

/** One choice of a chat-completions stream, accumulated by the rules of the chunk object. */
export function hearOpenAiStream(text: string, choice = 0): Heard {
  const events = readEvents(text);
  assert.equal(events.at(-1)?.data, "[DONE]");
  const heard: Heard = { text: "", calls: [], finish: null, inputTokens: null, outputTokens: null };
  for (const { data } of events.slice(0, -1)) {
    const chunk: Loose = JSON.parse(data);
    assert.equal(chunk.object, "chat.completion.chunk");
    if (chunk.usage) {
      assert.deepEqual(chunk.choices, []);
      heard.inputTokens = chunk.usage.prompt_tokens;
      heard.outputTokens = chunk.usage.completion_tokens;
    }
    for (const part of chunk.choices.filter((c: Loose) => c.index === choice)) {
      heard.text += part.delta.content ?? "";
      for (const call of part.delta.tool_calls ?? []) {
        heard.calls[call.index] ??= { id: call.id, name: call.function.name, arguments: "" };
        (heard.calls[call.index] as Heard["calls"][number]).arguments += call.function.arguments;
      }
      heard.finish = part.finish_reason ?? heard.finish;
    }
  }
  return heard;
}

export function hearOpenAi(text: string, choice = 0): Heard {
  const body: Loose = JSON.parse(text);
  const { message, finish_reason: finish } = body.choices[choice];
  return {
    text: message.content ?? "",
    calls: (message.tool_calls ?? []).map((call: Loose) => ({ id: call.id, ...call.function })),
    finish,
    inputTokens: body.usage?.prompt_tokens ?? null,
    outputTokens: body.usage?.completion_tokens ?? null,
  };
}

/** A messages stream: blocks open and close one after another, usage is cumulative. */
export function hearAnthropicStream(text: string): Heard {
  const heard: Heard = { text: "", calls: [], finish: null, inputTokens: null, outputTokens: null };
  const seen: string[] = [];
  let open = -1;
  for (const { event, data } of readEvents(text)) {
    const body: Loose = JSON.parse(data);
    assert.equal(body.type, event);
    seen.push(body.type);
    const usage = body.message?.usage ?? body.usage;
    if (usage) [heard.inputTokens, heard.outputTokens] = [usage.input_tokens, usage.output_tokens];
    if (body.type === "content_block_start") {
      assert.equal(body.index, open + 1);
      open = body.index;
      if (body.content_block.type === "tool_use")
        heard.calls.push({ id: body.content_block.id, name: body.content_block.name, arguments: "" });
    }
    if (body.type === "content_block_delta" || body.type === "content_block_stop") assert.equal(body.index, open);
    if (body.delta?.type === "text_delta") heard.text += body.delta.text;
    if (body.delta?.type === "input_json_delta")
      (heard.calls.at(-1) as Heard["calls"][number]).arguments += body.delta.partial_json;
    if (body.type === "message_delta") heard.finish = body.delta.stop_reason;
  }
  assert.equal(seen[0], "message_start");
  assert.deepEqual(seen.slice(-2), ["message_delta", "message_stop"]);
  return heard;
}

export function hearAnthropic(text: string): Heard {
  const body: Loose = JSON.parse(text);
  return {
    text: body.content.flatMap((block: Loose) => (block.type === "text" ? [block.text] : [])).join(""),
    calls: body.content.flatMap((block: Loose) =>
      block.type === "tool_use" ? [{ id: block.id, name: block.name, arguments: JSON.stringify(block.input) }] : [],
    ),
    finish: body.stop_reason,
    inputTokens: body.usage?.input_tokens ?? null,
    outputTokens: body.usage?.output_tokens ?? null,
  };
}
