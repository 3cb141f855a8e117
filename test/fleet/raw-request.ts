/** One HTTP request byte by byte, as no client library would send it. */
import { connect } from "node:net";

export type Place = { readonly path: string } | { readonly host: string; readonly port: number };

/** Headers are whole lines. `status` 0: the connection was closed, or could not be had. */
export function askRaw(
  place: Place,
  method: string,
  target: string,
  headers: readonly string[],
  body = "",
): Promise<{ readonly status: number; readonly text: string }> {
  const length = body === "" ? [] : ["Content-Type: application/json", `Content-Length: ${Buffer.byteLength(body)}`];
  const head = [`${method} ${target} HTTP/1.1`, ...headers, ...length, "Connection: close", "", ""].join("\r\n");
  return new Promise((resolve) => {
    const socket = connect({ ...place });
    let answer = "";
    const end = (): void => {
      socket.destroy();
      const [top = "", text = ""] = answer.split("\r\n\r\n", 2);
      resolve({ status: Number(/^HTTP\/1\.1 (\d{3}) /.exec(top)?.[1] ?? 0), text });
    };
    socket.setTimeout(30_000, end);
    socket.setEncoding("utf8").on("data", (piece: string) => (answer += piece));
    socket.once("close", end).once("error", end);
    socket.write(head + body);
  });
}
