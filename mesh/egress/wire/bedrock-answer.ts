import type { Dispatcher } from "undici";
import type { Json } from "../../../lib/json.ts";
import { AwsEventDecoder, type AwsMessage } from "./aws-event-stream.ts";
import { fieldsOf, textOf } from "./json-fields.ts";

const AWS_STREAM = "application/vnd.amazon.eventstream";

/**
 * Stands before a relay and turns the AWS framing of InvokeModelWithResponseStream into the server-sent events that
 * the model's own format has, so that all that follows (meter, scrubber, cut) knows one framing only.
 */
export class BedrockAnswer implements Dispatcher.DispatchHandler {
  readonly #relay: Dispatcher.DispatchHandler;
  #decoder: AwsEventDecoder | undefined;
  #broken = false;

  constructor(relay: Dispatcher.DispatchHandler) {
    this.#relay = relay;
  }

  onRequestStart(controller: Dispatcher.DispatchController, context: unknown): void {
    this.#relay.onRequestStart?.(controller, context);
  }

  onResponseStart(
    controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
    statusText?: string,
  ): void {
    const streams = status === 200 && headers["content-type"] === AWS_STREAM;
    if (streams) this.#decoder = new AwsEventDecoder();
    const shown = streams ? { ...headers, "content-type": "text/event-stream" } : headers;
    this.#relay.onResponseStart?.(controller, status, shown, statusText);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#decoder) return this.#relay.onResponseData?.(controller, chunk);
    if (this.#broken) return;
    let events: string;
    try {
      events = this.#decoder.push(chunk).map(eventOf).join("");
    } catch (error) {
      this.#broken = true;
      this.#relay.onResponseError?.(controller, error as Error);
      return;
    }
    if (events !== "") this.#relay.onResponseData?.(controller, Buffer.from(events));
  }

  onResponseEnd(controller: Dispatcher.DispatchController, trailers: Record<string, string | string[]>): void {
    if (this.#broken) return;
    if (this.#decoder && !this.#decoder.empty)
      return this.#relay.onResponseError?.(controller, new Error("the stream ended within a message"));
    this.#relay.onResponseEnd?.(controller, trailers);
  }

  onResponseError(controller: Dispatcher.DispatchController, error: Error): void {
    if (!this.#broken) this.#relay.onResponseError?.(controller, error);
  }
}

/** A chunk holds one event of the model's format, base64-encoded; an exception is that format's error event. */
function eventOf({ headers, payload }: AwsMessage): string {
  const content = fieldsOf(JSON.parse(payload.toString("utf8")) as Json);
  if (headers[":message-type"] !== "event") {
    const error = { type: headers[":exception-type"] ?? "error", message: textOf(content["message"]) };
    return `event: error\ndata: ${JSON.stringify({ type: "error", error })}\n\n`;
  }
  const event = JSON.parse(Buffer.from(textOf(content["bytes"]), "base64").toString("utf8")) as Json;
  // Written anew, so that no line end within it can make an event of its own.
  const name = textOf(fieldsOf(event)["type"]).replace(/[^a-z_]/g, "");
  return `event: ${name}\ndata: ${JSON.stringify(event)}\n\n`;
}
