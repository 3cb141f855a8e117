/** A process that calls one gateway after the other over raw sockets and measures what comes back. */
import { connect, type Socket } from "node:net";
import { AnswerReader } from "./answer-reader.ts";

/** One slice of load. Each connection goes through places of its own, `quota` calls at each. */
export interface Slice {
  readonly places: readonly string[];
  readonly connections: number;
  readonly quota: number;
  /** Calls end after this time; those under way are finished. */
  readonly ms: number;
  readonly request: { readonly path: string; readonly headers: string; readonly body: string };
  /** The last characters of a whole answer. */
  readonly ending: string;
  /** Between the end of a call and the next one of its connection. */
  readonly pauseMs?: number;
}

export interface Measured {
  readonly calls: number;
  readonly seconds: number;
  /** Milliseconds, of each call: until its first byte of a body, and until its end. */
  readonly firstMs: readonly number[];
  readonly wholeMs: readonly number[];
}

/** Opens streams and holds them until it is told to let go. */
export interface Hold {
  readonly hold: number;
  readonly places: readonly string[];
  readonly requests: readonly Slice["request"][];
}

const bytesOf = ({ path, headers, body }: Slice["request"]): Buffer =>
  Buffer.from(
    `POST ${path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n${headers}` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );

/** `unix:PATH` or `PORT`. */
function open(place: string): Promise<Socket> {
  const socket = place.startsWith("unix:") ? connect(place.slice(5)) : connect(Number(place), "127.0.0.1");
  socket.setNoDelay(true);
  return new Promise((resolve, reject) => socket.once("error", reject).once("connect", () => resolve(socket)));
}

async function measure(slice: Slice): Promise<Measured> {
  const bytes = bytesOf(slice.request);
  const firstMs: number[] = [];
  const wholeMs: number[] = [];
  const own = Math.floor(slice.places.length / slice.connections);
  const beginMs = performance.now();
  let endedMs = beginMs;
  const lane = async (n: number): Promise<void> => {
    for (let at = 0; at < Math.max(1, own); at++) {
      const place = slice.places[(n * own + at) % slice.places.length] ?? "";
      const socket = await open(place);
      const reader = new AnswerReader(socket, slice.ending);
      for (let left = slice.quota; left > 0 && performance.now() - beginMs < slice.ms; left--) {
        const startMs = performance.now();
        socket.write(bytes);
        const { firstAtMs } = await reader.next();
        endedMs = performance.now();
        firstMs.push(firstAtMs - startMs);
        wholeMs.push(endedMs - startMs);
        if (slice.pauseMs !== undefined) await new Promise((resolve) => setTimeout(resolve, slice.pauseMs));
      }
      socket.destroy();
      if (performance.now() - beginMs >= slice.ms) return;
    }
  };
  await Promise.all(Array.from({ length: slice.connections }, (_, n) => lane(n)));
  return { calls: wholeMs.length, seconds: (endedMs - beginMs) / 1_000, firstMs, wholeMs };
}

let held: Socket[] = [];

/** One call at a time: a stream is open when its first event has come. */
async function hold({ hold: count, places, requests }: Hold): Promise<void> {
  const openOne = async (n: number): Promise<void> => {
    const socket = await open(places[n % places.length] ?? "");
    const request = requests[n % requests.length];
    if (!request) throw new Error("there is nothing to ask");
    held.push(socket);
    const begun = new Promise<void>((resolve, reject) => {
      let text = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
        if (text.includes("data: ")) resolve();
      });
      socket.once("close", () => reject(new Error(`a held stream was closed: ${text.slice(0, 300)}`)));
    });
    socket.on("error", () => socket.destroy());
    socket.write(bytesOf(request));
    await begun;
  };
  for (let from = 0; from < count; from += 50)
    await Promise.all(Array.from({ length: Math.min(50, count - from) }, (_, n) => openOne(from + n)));
}

/** The moment at which each of the held streams was let go, in nanoseconds. */
function letGo(): string[] {
  const atNs = held.map((socket) => {
    const at = process.hrtime.bigint();
    socket.removeAllListeners("close").destroy();
    return String(at);
  });
  held = [];
  return atNs;
}

type Question = Slice | Hold | { readonly letGo: true };

function answerTo(question: Question): Promise<unknown> {
  if ("letGo" in question) return Promise.resolve(letGo());
  return "hold" in question ? hold(question) : measure(question);
}

process.on("message", (question: Question) => {
  answerTo(question).then(
    (value) => process.send?.({ value }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.once("disconnect", () => process.exit(0));
process.send?.({ value: null });
