/**
 * What a server says to people, fit for a terminal and a log: visible text, spaces and line ends. Control characters,
 * marks of direction and what is no UTF-8 become `?` (C0, C1, and the format characters of Unicode).
 */
export const cleaned = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString("utf8")
    .replaceAll(/[^\P{C}\n\t\r]|\uFFFD/gu, "?")
    // A carriage return goes back to the beginning of the line: progress needs it at an end, and nobody elsewhere.
    .replaceAll(/\r(?!\n|$)/g, "\n");
