/** The same bytes, cut at the same places, to a server with the plain leg before it and to one without. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import fc from "fast-check";
import { systemClock as clock } from "../../lib/clock.ts";
import { limits } from "../../protocol/limits.ts";
import { Deadlines } from "./deadlines.ts";
import { readJson, sendJson, sendRefusal, type HttpRequest, type HttpResponse } from "./exchange.ts";
import { PlainLeg } from "./plain-leg.ts";

const fuzzMs = Number(process.env["CORDON_FUZZ_SECONDS"] ?? 0) * 1_000;
const folder = mkdtempSync(join(tmpdir(), "cordon-legs-"));
const paths = { own: join(folder, "own.sock"), node: join(folder, "node.sock") } as const;
type Leg = keyof typeof paths;
const asked: Record<Leg, { readonly line: string; body: string }[]> = { own: [], node: [] };
const servers: Server[] = [];
let leg: PlainLeg | undefined;
let plainly = 0;

function handle(to: Leg, request: HttpRequest, response: HttpResponse): void {
  const own = { line: `${request.method} ${request.url}`, body: "" };
  asked[to].push(own);
  void readJson(request, 1_000).then((body) => {
    own.body = body.ok ? JSON.stringify(body.value.value) : body.error.code;
    if (body.ok) sendJson(response, 200, body.value.value);
    else sendRefusal(response, body.error);
  });
}

const linesOf = (to: Leg): string[] => asked[to].map(({ line }) => line);

before(async () => {
  const { headerBytesMax: maxHeaderSize } = limits.door;
  for (const to of ["own", "node"] as const) {
    const options = { maxHeaderSize, requireHostHeader: false, shouldUpgradeCallback: () => false };
    const server = createServer(options, (request, response) => handle(to, request, response));
    server.on("clientError", (_error, socket) => socket.destroy());
    servers.push(server);
    if (to === "own")
      leg = new PlainLeg(server, { clock, deadlines: new Deadlines(clock) }, (request, response) => {
        plainly++;
        handle("own", request, response);
      });
    await new Promise<void>((resolve) => server.listen(paths[to], resolve));
  }
});
after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  leg?.closeAll();
  rmSync(folder, { recursive: true });
});

/** Sends it in these pieces; the statuses of the answers, once the server has closed or nothing more comes. */
async function ask(
  to: Leg,
  pieces: readonly string[],
  quietMs: number,
): Promise<{ statuses: string[]; closed: boolean }> {
  const socket = connect(paths[to]);
  let text = "";
  const heard = { closed: false };
  let movedAt = performance.now();
  const moved = (): void => void (movedAt = performance.now());
  socket.on("error", () => {}).on("data", (bytes) => (moved(), (text += bytes.toString("latin1"))));
  socket.on("close", () => (heard.closed = true));
  for (const piece of pieces) {
    socket.write(piece, "latin1", moved);
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (!heard.closed && performance.now() - movedAt < quietMs) await new Promise((resolve) => setTimeout(resolve, 1));
  socket.destroy();
  return {
    statuses: [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => status ?? ""),
    closed: heard.closed,
  };
}

const INNER = "GET /x HTTP/1.1\r\n\r\n";
const body = fc.constantFrom("", "[1]", '{"a":[]}', "nonsense", "0\r\n\r\n", INNER);
const request = fc
  .record({
    line: fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom("POST /a HTTP/1.1", "GET /b?c=d HTTP/1.1") },
      fc.constantFrom("PUT /a HTTP/1.1", "POST http://h/a HTTP/1.1", "GET /a HTTP/1.0", "POST /a", "POST /a HTTP/1.1 "),
    ),
    fields: fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.constantFrom("Host: x", "Content-Type: application/json", "X-A: b", "Accept:*/*") },
        fc.constantFrom(
          "Connection: close",
          "X-A : b",
          " folded",

          "Content-Length: 1",
          "X:\x01",
        ),
      ),
      { maxLength: 3 },
    ),
    body,
    framing: fc.constantFrom("sized", "sized", "sized", "chunked", "none", "both"),
  })
  .map((parts) => {
    const length = `Content-Length: ${parts.body.length}\r\n`;
    const chunked = "Transfer-Encoding: chunked\r\n";
    const own = { sized: length, chunked, none: "", both: length + chunked }[parts.framing];
    const size = parts.body.length.toString(16);
    const framed = `${parts.body === "" ? "" : `${size}\r\n${parts.body}\r\n`}0\r\n\r\n`;
    const lines = parts.fields.map((field) => `${field}\r\n`).join("");
    return `${parts.line}\r\n${lines}${own}\r\n${parts.framing === "chunked" ? framed : parts.body}`;
  });

test("both legs are asked the same in the same order, answer the same, and close for the same", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(request, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat(300), { maxLength: 3 }),
      async (requests, cuts) => {
        const whole = requests.join("");
        // Only what no length claims is a request of its own.
        const hidden = requests.some((text) => text.endsWith(INNER) && !/content-length|chunked/i.test(text));
        const at = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
        const pieces = at
          .slice(1)
          .map((end, n) => whole.slice(at[n], end))
          .filter((piece) => piece !== "");
        // A slow machine is not another reading: who seems to be asked less is given more time.
        for (const quietMs of [20, 200, 2_000]) {
          asked.own = [];
          asked.node = [];
          const [own, node] = await Promise.all([ask("own", pieces, quietMs), ask("node", pieces, quietMs)]);
          try {
            // Node's server gives up on what it has not answered yet when something malformed comes after it.
            assert.deepEqual(linesOf("own").slice(0, asked.node.length), linesOf("node"));
            assert.equal(own.closed, node.closed);
            if (!node.closed) assert.deepEqual([asked.own, own.statuses], [asked.node, node.statuses]);
            assert.ok(hidden || !linesOf("own").includes("GET /x"), linesOf("own").join("; "));
            return;
          } catch (difference) {
            if (quietMs === 2_000) throw difference;
          }
        }
      },
    ),
    {
      seed: 59,
      ...(fuzzMs > 0
        ? { numRuns: 1e9, interruptAfterTimeLimit: fuzzMs, markInterruptAsFailure: false }
        : { numRuns: 120 }),
    },
  );
  assert.ok(plainly > 60, `${plainly} requests were read plainly`);
});
