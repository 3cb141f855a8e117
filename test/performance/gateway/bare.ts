/** The least that a gateway on node:http and undici can be: what it is asked it passes on, what it is answered it passes back. */
import { createServer } from "node:http";
import { Pool } from "undici";

const [, , place = "", origin = ""] = process.argv;
const pool = new Pool(origin, { connections: 1_024, pipelining: 1 });

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    const headers = { "content-type": "application/json", authorization: "Bearer sk-bench-0123456789abcdef" };
    pool.dispatch(
      { path: request.url ?? "/", method: "POST", headers, body: Buffer.concat(pieces) },
      {
        onRequestStart: (controller) => void response.once("close", () => controller.abort(new Error("gone"))),
        onResponseStart: (_controller, status, from) => {
          response.writeHead(status, { "content-type": String(from["content-type"]) });
        },
        onResponseData: (_controller, chunk) => void response.write(chunk),
        onResponseEnd: () => void response.end(),
        onResponseError: () => void response.destroy(),
      },
    );
  });
});
server.listen(place, () => process.send?.("up"));
process.once("disconnect", () => process.exit(0));
