import { Readable } from "node:stream";
import OpenAI, { toFile } from "openai";
import { MODEL, QUESTION, run } from "./tell.mjs";

const client = new OpenAI();
const ask = { model: MODEL, messages: [{ role: "user", content: QUESTION }] };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", description: "Tells the weather.", parameters } }];

/** So many seconds of 16-bit PCM, 16 kHz, one channel. */
function wav(seconds) {
  const samples = Buffer.alloc(seconds * 32_000, "weather ");
  const head = Buffer.alloc(44);
  head.write("RIFF....WAVEfmt ", "latin1");
  head.writeUInt32LE(samples.length + 36, 4);
  head.writeUInt32LE(16, 16);
  head.writeUInt16LE(1, 20);
  head.writeUInt16LE(1, 22);
  head.writeUInt32LE(16_000, 24);
  head.writeUInt32LE(32_000, 28);
  head.writeUInt16LE(2, 32);
  head.writeUInt16LE(16, 34);
  head.write("data", 36, "latin1");
  head.writeUInt32LE(samples.length, 40);
  return Buffer.concat([head, samples]);
}

await run("openai", {
  async models() {
    const ids = [];
    for await (const { id } of client.models.list()) ids.push(id);
    return { text: ids.join(" ") };
  },
  async chat() {
    const { choices, usage } = await client.chat.completions.create({ ...ask, max_tokens: 50 });
    return { text: choices[0].message.content, usage: usage.completion_tokens };
  },
  async chatStream() {
    let text = "";
    for await (const { choices } of await client.chat.completions.create({ ...ask, stream: true }))
      text += choices[0]?.delta.content ?? "";
    return { text };
  },
  async chatTools() {
    const runner = client.chat.completions.runTools({
      ...ask,
      tools: [
        {
          type: "function",
          function: { ...tools[0].function, parse: JSON.parse, function: ({ city }) => `sunny in ${city}` },
        },
      ],
    });
    return { text: await runner.finalContent() };
  },
  async responses() {
    const { output_text: text, usage } = await client.responses.create({ model: MODEL, input: QUESTION });
    return { text, usage: usage.output_tokens };
  },
  async responsesStream() {
    const stream = client.responses.stream({ model: MODEL, input: QUESTION });
    let deltas = "";
    stream.on("response.output_text.delta", ({ delta }) => (deltas += delta));
    const { output_text: text } = await stream.finalResponse();
    return { text, same: text === deltas };
  },
  async responsesTools() {
    const tool = { type: "function", name: "weather", parameters, strict: false };
    const first = await client.responses.create({ model: MODEL, input: QUESTION, tools: [tool] });
    const call = first.output.find((item) => item.type === "function_call");
    const result = {
      type: "function_call_output",
      call_id: call.call_id,
      output: `sunny in ${JSON.parse(call.arguments).city}`,
    };
    const input = [{ role: "user", content: QUESTION }, ...first.output, result];
    return { text: (await client.responses.create({ model: MODEL, input, tools: [tool] })).output_text };
  },
  async embeddings() {
    const { data, usage } = await client.embeddings.create({ model: MODEL, input: ["a", "b"] });
    return { text: data.map(({ embedding }) => embedding.length).join(" "), usage: usage.prompt_tokens };
  },
  /** The bound ends the stream in good form. */
  async bounded() {
    let finish = "";
    for await (const { choices } of await client.chat.completions.create({ ...ask, max_tokens: 2, stream: true }))
      finish = choices[0]?.finish_reason ?? finish;
    return { text: finish };
  },
  unknownModel: () => client.chat.completions.create({ ...ask, model: "openai/gpt-5" }),
  async image() {
    const { data, usage } = await client.images.generate({ model: MODEL, prompt: "a cat", quality: "low", n: 2 });
    const heads = data.map(({ b64_json: text }) => Buffer.from(text, "base64").subarray(1, 4).toString());
    return { text: heads.join(" "), usage: usage.output_tokens };
  },
  /** What the provider chooses by itself. */
  async imageAuto() {
    const { data } = await client.images.generate({ model: MODEL, prompt: "a cat" });
    return { text: String(data.length) };
  },
  async transcription() {
    const { text, usage } = await client.audio.transcriptions.create({
      model: MODEL,
      file: await toFile(wav(3), "a.wav"),
    });
    return { text: String(text.split(" ").length), usage: usage.input_tokens };
  },
  /** With all that its route takes, and the same sound by a stream. */
  async transcriptionVerbose() {
    const file = await toFile(Readable.from([wav(3)]), "a.wav", { type: "audio/wav" });
    const more = { prompt: "weather", language: "en", temperature: 0, response_format: "verbose_json" };
    const { text, duration } = await client.audio.transcriptions.create({ model: MODEL, file, ...more });
    return { text: `${text.split(" ").length} ${duration}` };
  },
  async transcriptionOfMp3() {
    const file = await toFile(Buffer.from("fffb9064", "hex"), "a.mp3");
    return client.audio.transcriptions.create({ model: MODEL, file });
  },
  speech: () => client.audio.speech.create({ model: MODEL, voice: "alloy", input: "a cat" }),
});
