import type { IncomingMessage, ServerResponse } from "node:http";

/**
 * The connections of a Node server on which an answer is still owed. Who asks there to go on in another protocol has asked for
 * two things at once: Node hands the connection over all the same, and both answers would be written to it.
 */
export class OwedAnswers {
  readonly #owed = new WeakMap<object, Set<ServerResponse>>();

  /** To be called for each request as it comes. */
  add({ socket }: IncomingMessage, response: ServerResponse): void {
    const owed = this.#owed.get(socket) ?? new Set();
    this.#owed.set(socket, owed.add(response));
    const told = (): void => void owed.delete(response);
    response.once("finish", told).once("close", told);
  }

  /** Whether one is owed on the connection of this request; what Node hands over for it may be another stream. */
  on({ socket }: IncomingMessage): boolean {
    return (this.#owed.get(socket)?.size ?? 0) > 0;
  }
}
