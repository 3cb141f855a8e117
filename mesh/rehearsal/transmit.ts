import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Clock } from "../../lib/clock.ts";
import type { Fault } from "./faults.ts";

/** Frames that are sent before a fault in the middle of a stream. */
const FRAMES_BEFORE_FAULT = 4;
const CUT_DELAY_MS = 25;
/** Frames between two turns of the event loop: a long stream must not hold up the mesh. */
const FRAMES_A_TURN = 8;

export interface Transmission {
  readonly fault: Fault;
  /** Pause after each frame, milliseconds. */
  readonly paceMs: number;
  readonly clock: Clock;
  /** Aborted when the client has gone. */
  readonly gone: AbortSignal;
}

/** Sends a whole JSON body, or what the fault leaves of it. */
export async function sendJson(response: ServerResponse, body: unknown, transmission: Transmission): Promise<void> {
  const { fault, clock, gone } = transmission;
  const bytes = Buffer.from(JSON.stringify(body));
  const half = bytes.subarray(0, bytes.length >> 1);
  if (await failFirst(response, transmission)) return;
  response.setHeader("content-type", "application/json");
  if (fault.type === "malformed") return end(response.setHeader("content-length", half.length), half);
  response.setHeader("content-length", bytes.length);
  if (isMiddle(fault)) {
    await new Promise<void>((resolve) => response.write(half, () => resolve()));
    if (fault.type === "cut") return cutLater(response, transmission);
    await clock.sleep(fault.ms, gone);
    return end(response, bytes.subarray(half.length));
  }
  end(response, bytes);
}

/** Sends Server-Sent Events (WHATWG HTML, "Server-sent events") one write a frame, as fast as the client reads. */
export async function sendEvents(
  response: ServerResponse,
  frames: Iterable<string>,
  transmission: Transmission,
): Promise<void> {
  const { fault, clock, gone, paceMs } = transmission;
  if (await failFirst(response, transmission)) return;
  response.setHeader("content-type", "text/event-stream; charset=utf-8");
  response.setHeader("cache-control", "no-cache");
  response.flushHeaders();
  let sent = 0;
  for (const frame of frames) {
    if (sent === FRAMES_BEFORE_FAULT && isMiddle(fault)) {
      if (fault.type === "cut") return cutLater(response, transmission);
      await clock.sleep(fault.ms, gone);
    }
    if (sent === FRAMES_BEFORE_FAULT && fault.type === "malformed")
      return end(response, 'data: {"choices":[{"delta":\n\n:\ndata\n\n');
    if (!response.write(frame)) await once(response, "drain", { signal: gone });
    sent++;
    if (paceMs > 0) await clock.sleep(paceMs, gone);
    else if (sent % FRAMES_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    gone.throwIfAborted();
  }
  end(response);
}

async function failFirst(response: ServerResponse, { fault, clock, gone }: Transmission): Promise<boolean> {
  if (fault.type === "cut" && fault.where === "first") {
    cut(response);
    return true;
  }
  if (fault.type === "stall" && fault.where === "first") await clock.sleep(fault.ms, gone);
  return false;
}

const isMiddle = (fault: Fault): fault is Extract<Fault, { type: "stall" | "cut" }> =>
  (fault.type === "stall" || fault.type === "cut") && fault.where === "middle";

const cut = (response: ServerResponse): void => void response.socket?.destroy();

/** What was written reaches the client first: one that sees data and the end at once may drop the data. */
async function cutLater(response: ServerResponse, { clock, gone }: Transmission): Promise<void> {
  await clock.sleep(CUT_DELAY_MS, gone);
  cut(response);
}

const end = (response: ServerResponse, last?: string | Uint8Array): void => void response.end(last);
