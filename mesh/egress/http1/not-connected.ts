/** There was no connection, or it was not used: not a byte of the request was sent. */
export class NotConnected extends Error {
  readonly code: string;

  constructor(code: string, cause?: Error) {
    super(cause?.message ?? "no connection", { cause });
    this.code = code;
  }
}
