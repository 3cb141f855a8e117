/** What is used of a two-way stream of Node, which this zone has no types of. */
interface TwoWayStream {
  readonly readableEnded: boolean;
  pipe(to: never): unknown;
  on(event: "error" | "close", listener: () => void): unknown;
  destroy(fault: Error): unknown;
}

/**
 * Carries bytes both ways between two half-open streams. The end of one direction is passed on and leaves the other one open; one that
 * breaks off takes the other with it, as a fault, so that nobody takes half for the whole.
 */
export function joinStreams(a: TwoWayStream, b: TwoWayStream): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.pipe(to as never);
    // A close follows every error.
    from.on("error", () => {});
    from.on("close", () => {
      // Not whether it could be written to its end: HTTP/2 says that of a stream that its peer has cancelled, too.
      if (!from.readableEnded || !to.readableEnded) to.destroy(new Error("the other end has broken off"));
    });
  }
}
