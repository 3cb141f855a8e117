/** OpenAI's chat completions and Anthropic's messages, each told as the other: frozen literals and round trips. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Json } from "../../lib/json.ts";
import { eventData } from "../../mesh/egress/event-stream.ts";
import { compileScrubber } from "../../mesh/egress/scrubber.ts";
import type { AnswerTranslation } from "../../mesh/egress/translate/answer.ts";
import { chatAnswer } from "../../mesh/egress/translate/chat-answer.ts";
import { chatToMessages } from "../../mesh/egress/translate/chat-to-messages.ts";
import { messagesAnswer } from "../../mesh/egress/translate/messages-answer.ts";
import { messagesToChat } from "../../mesh/egress/translate/messages-to-chat.ts";
import { Translator } from "../../mesh/egress/translate/translator.ts";
import { anthropicFormat } from "../../mesh/egress/wire/anthropic.ts";
import { openaiFormat } from "../../mesh/egress/wire/openai.ts";
import { answerPairs, chatChunks, HEAD, messagesEvents, messagesStream } from "./translation/answers.ts";
import { callPairs, unsayableInChat, unsayableInMessages } from "./translation/calls.ts";

const RUNS = { numRuns: 300, seed: 20_261_122 };
const value = (result: ReturnType<typeof chatToMessages>): Json => {
  assert.ok(result.ok, JSON.stringify(result));
  return result.value;
};
const understood = (format: typeof openaiFormat, body: Json): void => {
  const parsed = format.parse(body, JSON.stringify(body).length);
  assert.ok(parsed.ok, JSON.stringify(parsed));
};

for (const { name, chat, messages, only } of callPairs) {
  test(`a call is said in the other format: ${name}`, () => {
    // Each side is what its own format takes: else the pair shows nothing.
    understood(openaiFormat, chat as Json);
    understood(anthropicFormat, messages as Json);
    if (only !== "messages") assert.deepEqual(value(chatToMessages(chat as Json)), messages);
    if (only !== "chat") assert.deepEqual(value(messagesToChat(messages as Json)), chat);
  });
}

test("what the other format cannot say is told, and nothing is left out in silence", () => {
  for (const [format, say, calls] of [
    [openaiFormat, chatToMessages, unsayableInMessages],
    [anthropicFormat, messagesToChat, unsayableInChat],
  ] as const)
    for (const [body, reason] of calls) {
      understood(format, body as Json);
      const said = say(body as Json);
      assert.match(said.ok ? "said" : said.error, reason, JSON.stringify(body));
    }
});

const word = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
const textPart = word.map((text) => ({ type: "text", text }));
const parts = fc.array(textPart, { minLength: 1, maxLength: 3 });
const json = fc.dictionary(fc.string({ maxLength: 4 }), fc.oneof(fc.integer(), fc.string(), fc.boolean()), {
  maxKeys: 3,
});
/** A turn of the user, or a round with tools: their calls, their results, and maybe words beside the results. */
const round = fc.oneof(
  fc.record({ asks: parts, answers: parts }).map(({ asks, answers }) => [
    { role: "user", content: asks },
    { role: "assistant", content: answers },
  ]),
  fc
    .record({
      asks: parts,
      says: fc.option(parts, { nil: null }),
      inputs: fc.array(json, { minLength: 1, maxLength: 3 }),
    })
    .chain(({ asks, says, inputs }) =>
      fc.array(parts, { minLength: inputs.length, maxLength: inputs.length }).map((results) => [
        { role: "user", content: asks },
        {
          role: "assistant",
          content: says,
          tool_calls: inputs.map((input, at) => ({
            id: `c${at}`,
            type: "function",
            function: { name: "f", arguments: JSON.stringify(input) },
          })),
        },
        ...results.map((content, at) => ({ role: "tool", tool_call_id: `c${at}`, content })),
      ]),
    ),
);
/** Neighbouring turns of one side become one there, so the property asks for none: a round ends with the assistant. */
const conversation = fc
  .record({ system: fc.option(parts), rounds: fc.array(round, { maxLength: 4 }), last: parts })
  .map(({ system, rounds, last }) => {
    const messages: { role: string; content: unknown }[] = [];
    for (const turn of rounds.flat()) {
      // Results of tools that the user speaks after are one turn there, and come back as they were.
      if (messages.at(-1)?.role === "tool" && turn.role === "user")
        messages.push({ role: "assistant", content: [{ type: "text", text: "ok" }] });
      messages.push(turn);
    }
    return [...(system ? [{ role: "system", content: system }] : []), ...messages, { role: "user", content: last }];
  });

test("there and back, a call is the same (property)", () => {
  fc.assert(
    fc.property(
      conversation,
      fc.record(
        {
          temperature: fc.integer({ min: 0, max: 10 }).map((n) => n / 10),
          top_p: fc.integer({ min: 0, max: 10 }).map((n) => n / 10),
          stop: fc.array(word, { minLength: 1, maxLength: 4 }),
          stream: fc.boolean(),
          user: word,
        },
        { requiredKeys: [] },
      ),
      fc.integer({ min: 1, max: 1_000 }),
      (messages, more, max_tokens) => {
        const call = { model: "m", messages, max_tokens, ...more } as unknown as Json;
        understood(openaiFormat, call);
        const said = value(chatToMessages(call));
        understood(anthropicFormat, said);
        assert.deepEqual(value(messagesToChat(said)), call);
      },
    ),
    RUNS,
  );
});

test("whatever a call is, it is said or the reason is told, and what is said is understood (property)", () => {
  let said = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(...callPairs),
      fc.oneof(fc.json(), fc.constantFrom('"a"', '["a", "b"]', '{"user_id":"u"}', '{"type":"auto"}', '"auto"', "3")),
      fc.constantFrom("stop", "tool_choice", "seed", "user", "metadata", "top_k"),
      (pair, text, key) => {
        for (const [format, other, say, body] of [
          [openaiFormat, anthropicFormat, chatToMessages, pair.chat],
          [anthropicFormat, openaiFormat, messagesToChat, pair.messages],
        ] as const) {
          const changed = { ...body, [key]: JSON.parse(text) as Json } as Json;
          if (!format.parse(changed, 1_000).ok) continue;
          const result = say(changed);
          if (!result.ok) continue;
          said++;
          understood(other, result.value);
        }
      },
    ),
    RUNS,
  );
  assert.ok(said > 40, `${said} calls were said`);
});

for (const { name, chat, messages } of answerPairs) {
  test(`an answer is told in the other format: ${name}`, () => {
    assert.deepEqual(value(messagesAnswer.plain(messages, HEAD)), chat);
    assert.deepEqual(value(chatAnswer.plain(chat, HEAD)), messages);
  });
}

const told = (translation: AnswerTranslation, events: readonly Json[]): Json[] => {
  const stream = translation.stream(HEAD);
  const text = events.map((event) => stream.event(event)).join("") + stream.end();
  assert.equal(stream.end(), "", "an end is told once");
  return [...eventData(Buffer.from(text))].filter((data) => data !== "[DONE]").map((data) => JSON.parse(data) as Json);
};

test("a stream is told event by event", () => {
  assert.deepEqual(told(messagesAnswer, messagesStream), chatChunks);
  assert.deepEqual(told(chatAnswer, chatChunks), messagesEvents);
  assert.deepEqual(told(messagesAnswer, messagesEvents), chatChunks);
});

test("pieces of several tools may come in turns, and each reaches its own block", () => {
  const piece = (index: number, more: object): Json => ({
    choices: [{ index: 0, delta: { tool_calls: [{ index, ...more }] } }],
  });
  const events = told(chatAnswer, [
    piece(0, { id: "a", function: { name: "f", arguments: '{"x"' } }),
    piece(1, { id: "b", function: { name: "g", arguments: "{}" } }),
    piece(0, { function: { arguments: ":1}" } }),
  ]) as { type: string; index?: number; delta?: { partial_json?: string } }[];
  const written = (index: number): string =>
    events.map((event) => (event.index === index ? (event.delta?.partial_json ?? "") : "")).join("");
  assert.deepEqual([written(0), written(1)], ['{"x":1}', "{}"]);
  const closed = events.findIndex(({ type, index }) => type === "content_block_stop" && index === 0);
  assert.ok(closed > events.findLastIndex(({ type, index }) => type === "content_block_delta" && index === 0));
});

test("what a stream says is what the whole answer says (property)", () => {
  const deltas = fc.array(
    fc.oneof(
      word.map((content) => ({ content })),
      fc.record({ index: fc.nat({ max: 2 }), piece: word }).map(({ index, piece }) => ({
        tool_calls: [{ index, id: `c${index}`, function: { name: `f${index}`, arguments: piece } }],
      })),
    ),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(deltas, fc.constantFrom("stop", "length", "tool_calls"), (each, finish) => {
      const events = told(chatAnswer, [
        ...each.map((delta): Json => ({ choices: [{ index: 0, delta }] })),
        { choices: [{ index: 0, delta: {}, finish_reason: finish }] },
      ]);
      // Read by the meter of the format: it must find a whole answer, with all the words in it.
      const meter = anthropicFormat.meter();
      const texts = events.flatMap((event) => meter.read(event).map(({ text }) => text));
      assert.ok(meter.complete);
      const words = each
        .map((delta) => ("content" in delta ? delta.content : delta.tool_calls[0]?.function.arguments))
        .join("");
      assert.equal(texts.join(""), words);
      const back = told(messagesAnswer, events) as { choices: { finish_reason: string | null }[] }[];
      assert.equal(
        back.flatMap(({ choices }) => choices.map((choice) => choice.finish_reason)).findLast(Boolean),
        finish,
      );
    }),
    RUNS,
  );
});

test("errors keep their words and their kind", () => {
  const chat = { error: { message: "too many", type: "rate_limit_error", param: null, code: null } };
  const messages = { type: "error", error: { type: "rate_limit_error", message: "too many" } };
  assert.deepEqual(messagesAnswer.error(messages, 429), chat);
  assert.deepEqual(chatAnswer.error(chat, 429), messages);
  for (const broken of [null, [], "x", { error: 5 }])
    assert.match(
      JSON.stringify([messagesAnswer.error(broken, 418), chatAnswer.error(broken, 418)]),
      /answered 418.*answered 418/,
    );
});

function translate(translation: AnswerTranslation, secret: string) {
  const heard = { status: 0, text: "" };
  const translator = new Translator({
    translation,
    head: HEAD,
    automaton: compileScrubber([Buffer.from(secret)], "[gone]"),
    sink: {
      head: (status) => (heard.status = status),
      write: (bytes) => {
        heard.text += bytes.toString();
        return true;
      },
      drained: () => {},
    },
  });
  return { translator, heard };
}

test("whatever the borders of the pieces, a stream is told the same; a cut ends in good form, with its reason", () => {
  const wire = messagesStream.map((event) => `event: x\ndata: ${JSON.stringify(event)}\n\n`).join("");
  const whole = translate(messagesAnswer, "none-of-it");
  whole.translator.head(200, { "content-type": "text/event-stream" });
  whole.translator.write(Buffer.from(wire));
  assert.ok(whole.translator.end().ok);
  assert.match(whole.heard.text, /\[DONE\]\n\n$/);
  for (let size = 1; size < 200; size += 7) {
    const { translator, heard } = translate(messagesAnswer, "none-of-it");
    translator.head(200, { "content-type": "text/event-stream" });
    for (let at = 0; at < wire.length; at += size) {
      // Memory that is used again, as that of a connection is.
      const memory = Buffer.from(wire.slice(at, at + size));
      translator.write(memory);
      memory.fill("#");
    }
    translator.end();
    assert.equal(heard.text, whole.heard.text);
  }
  const cut = translate(messagesAnswer, "none-of-it");
  const meter = anthropicFormat.meter();
  cut.translator.head(200, { "content-type": "text/event-stream" });
  for (const event of messagesStream.slice(0, 5)) {
    meter.read(event);
    cut.translator.write(Buffer.from(`data: ${JSON.stringify(event)}\n\n`));
  }
  meter.passed();
  cut.translator.write(Buffer.from(meter.ending("upstream_broken")));
  cut.translator.end();
  assert.match(cut.heard.text, /: cordon upstream_broken\n\n/);
  assert.match(cut.heard.text, /"finish_reason":"length".*\[DONE\]\n\n$/s);
});

test("a credential that only the translation would write out in clear is kept out", () => {
  const secret = "sk-live-4f9a1c77e2b8";
  const escaped = [...secret].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
  const { translator, heard } = translate(messagesAnswer, secret);
  translator.head(200, { "content-type": "application/json" });
  const plain = `{"type":"message","content":[{"type":"tool_use","id":"${escaped}","name":"f","input":{}}]}`;
  for (const piece of plain.match(/[^]{1,20}/g) ?? []) {
    const memory = Buffer.from(piece);
    translator.write(memory);
    memory.fill("#");
  }
  assert.ok(translator.end().ok);
  assert.ok(!heard.text.includes(secret), heard.text);
  assert.match(heard.text, /\[gone\]/);
});

test("arguments that are no JSON object cannot be told, and then nothing is", () => {
  const { translator, heard } = translate(chatAnswer, "none-of-it");
  translator.head(200, { "content-type": "application/json" });
  translator.write(
    Buffer.from(
      JSON.stringify({
        choices: [{ message: { tool_calls: [{ id: "a", function: { name: "f", arguments: "{" } }] } }],
      }),
    ),
  );
  const end = translator.end();
  assert.match(end.ok ? "" : end.error, /no JSON object/);
  assert.deepEqual(heard, { status: 0, text: "" });
});
