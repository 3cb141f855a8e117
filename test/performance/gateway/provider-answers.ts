/** How many events the text of a stream comes in. */
export const EVENTS = 50;

const PIECE = "The quick brown fox jumps.";
const head = { id: "chatcmpl-bench", object: "chat.completion.chunk", created: 1_700_000_000, model: "bench" };
const event = (fields: object): string => `data: ${JSON.stringify({ ...head, ...fields })}\n\n`;
const delta = (fields: object, finish: string | null = null): string =>
  event({ choices: [{ index: 0, delta: fields, finish_reason: finish }], usage: null });
const usage = { prompt_tokens: 200, completion_tokens: 300, total_tokens: 500 };
/** As many events as there are pieces of text; the last one brings the end with it. */
const texts = Array.from({ length: EVENTS - 1 }, () => delta({ content: PIECE }));
const last = delta({}, "stop") + event({ choices: [], usage }) + "data: [DONE]\n\n";
const chunkOf = (text: string): Buffer => Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
export const events = [...texts, last].map(chunkOf);
export const END = Buffer.from("0\r\n\r\n");

const NUMBER_DIGITS = 8;
let answered = 0;
/** No two heads are the same: as providers have it, each says which request it answers. */
function numbered(framing: string, body: string): () => Buffer {
  const head = `HTTP/1.1 200 OK\r\n${framing}x-request-id: req_`;
  const text = Buffer.from(`${head}${"0".repeat(NUMBER_DIGITS)}\r\n\r\n${body}`);
  return () => {
    const bytes = Buffer.from(text);
    bytes.write(String(++answered % 10 ** NUMBER_DIGITS).padStart(NUMBER_DIGITS, "0"), head.length, "latin1");
    return bytes;
  };
}

export const streamHead = numbered(
  "content-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n",
  "",
);
const answer = JSON.stringify({
  ...{ ...head, object: "chat.completion" },
  choices: [{ index: 0, message: { role: "assistant", content: PIECE.repeat(30) }, finish_reason: "stop" }],
  usage,
});
export const jsonAnswer = numbered(`content-type: application/json\r\ncontent-length: ${answer.length}\r\n`, answer);
