/** The protocol of `/mcp`; what its tools may do is tested with real guests in test/guests. */
import assert from "node:assert/strict";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { limits } from "../../protocol/limits.ts";
import type { Self } from "../../protocol/door.ts";
import { mcpCall } from "./mcp.ts";
import type { DoorServices } from "./services.ts";

const recorded: unknown[] = [];
const parameters = { type: "object", properties: {} };
const self = { tools: [{ name: "board.read", description: "Reads.", parameters }] } as unknown as Self;
const services = {
  selves: new Map([["guest", self]]),
  denials: () => ({ record: async (detail: unknown) => void recorded.push(detail) }),
  monitor: { emit: () => {} },
} as unknown as DoorServices;

let server: Server;
before(async () => {
  server = createServer((req, res) => void mcpCall(services, { agent: "guest", sandbox: "s" }, req, res));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
after(() => server.close());

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: { result?: Record<string, unknown>; error?: { code: number; message: string; data?: unknown } };
}
const supported = ({ body }: Answer): unknown =>
  body.result?.["supportedVersions"] ?? ((body.error?.data ?? {}) as Readonly<Record<string, unknown>>)["supported"];

function ask(body: unknown, headers: Record<string, string> = {}, method = "POST"): Promise<Answer> {
  const { port } = server.address() as AddressInfo;
  const all = { "content-type": "application/json", accept: "application/json, text/event-stream", ...headers };
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", path: "/mcp", method, headers: all }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("end", () => {
        const parsed = text === "" ? {} : (JSON.parse(text) as Answer["body"]);
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: parsed });
      });
    });
    sent.once("error", reject);
    sent.end(typeof body === "string" ? body : JSON.stringify(body));
  });
}
const rpc = (method: string, params?: object, id: unknown = 1) => ({
  ...{ jsonrpc: "2.0", method, id },
  ...(params && { params }),
});
const notice = (method: string) => ({ jsonrpc: "2.0", method });
const PROTOCOL = "io.modelcontextprotocol";
const meta = (version = "2026-07-28") => ({
  _meta: { [`${PROTOCOL}/protocolVersion`]: version, [`${PROTOCOL}/clientCapabilities`]: {} },
});
const modern = (method: string, name?: string): Record<string, string> => ({
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": method,
  ...(name === undefined ? {} : { "mcp-name": name }),
});

describe("revisions with a handshake", () => {
  it("answers `initialize` in the revision that was asked for, or in the newest one", async () => {
    for (const [asked, given] of [
      ["2025-03-26", "2025-03-26"],
      ["2025-06-18", "2025-06-18"],
      ["2025-11-25", "2025-11-25"],
      ["1999-01-01", "2025-11-25"],
    ] as const) {
      const { status, headers, body } = await ask(rpc("initialize", { protocolVersion: asked, capabilities: {} }));
      assert.equal(status, 200);
      assert.equal(body.result?.["protocolVersion"], given);
      assert.equal(headers["mcp-session-id"], undefined);
    }
  });
  it("takes notifications, answers `ping` and lists what the matrix grants", async () => {
    const told = await ask(notice("notifications/initialized"));
    assert.deepEqual([told.status, told.body], [202, {}]);
    assert.deepEqual((await ask(rpc("ping"))).body.result, {});
    const { body } = await ask(rpc("tools/list"), { "mcp-protocol-version": "2025-06-18" });
    const [tool, ...others] = (body.result?.["tools"] ?? []) as Record<string, unknown>[];
    assert.deepEqual([tool?.["name"], tool?.["inputSchema"], others], ["board_read", parameters, []]);
    assert.equal(body.result?.["resultType"], undefined);
  });
});

describe("the revision without one", () => {
  it("discovers and lists, with what the revision wants of each result", async () => {
    const found = await ask(rpc("server/discover", meta()), modern("server/discover"));
    assert.ok((supported(found) as string[]).includes("2026-07-28"));
    const listed = await ask(rpc("tools/list", meta()), modern("tools/list"));
    for (const { result } of [found.body, listed.body]) {
      assert.equal(result?.["resultType"], "complete");
      assert.equal(result["cacheScope"], "private");
      assert.ok(Number.isSafeInteger(result["ttlMs"]));
    }
  });
  it("refuses headers that say something else than the body", async () => {
    for (const headers of [
      {},
      modern("tools/call"),
      { ...modern("tools/list"), "mcp-protocol-version": "2025-11-25" },
      { "mcp-protocol-version": "2026-07-28" },
    ]) {
      const { status, body } = await ask(rpc("tools/list", meta()), headers);
      assert.deepEqual([status, body.error?.code], [400, -32_020]);
    }
    const call = rpc("tools/call", { ...meta(), name: "board_read" });
    assert.equal((await ask(call, modern("tools/call", "board_write"))).body.error?.code, -32_020);
  });
  it("refuses another revision with those that it speaks", async () => {
    for (const [body, headers] of [
      [rpc("tools/list", meta("2030-01-01")), modern("tools/list")],
      [rpc("tools/list"), { "mcp-protocol-version": "2030-01-01" }],
    ] as const) {
      const answer = await ask(body, headers);
      assert.deepEqual([answer.status, answer.body.error?.code], [400, -32_022]);
      assert.ok((supported(answer) as string[]).includes("2026-07-28"));
    }
  });
  it("has no handshake, and wants the client's capabilities", async () => {
    assert.equal((await ask(rpc("initialize", meta()), modern("initialize"))).body.error?.code, -32_601);
    const less = { [`${PROTOCOL}/protocolVersion`]: "2026-07-28" };
    assert.equal((await ask(rpc("tools/list", { _meta: less }), modern("tools/list"))).body.error?.code, -32_602);
  });
});

describe("what is refused", () => {
  const cases: readonly (readonly [string, unknown, Record<string, string>, string, number])[] = [
    ["GET", "", {}, "GET", 405],
    ["DELETE", "", {}, "DELETE", 405],
    ["another origin", rpc("ping"), { origin: "http://evil.example" }, "POST", 403],
    ["an origin that only begins like ours", rpc("ping"), { origin: "http://127.0.0.1.evil.example" }, "POST", 403],
    ["a body of another type", rpc("ping"), { "content-type": "text/plain" }, "POST", 415],
    ["a client that takes no JSON", rpc("ping"), { accept: "text/html" }, "POST", 406],
    ["a batch", [rpc("ping")], {}, "POST", 400],
    ["no JSON", "{", {}, "POST", 400],
    ["a name twice", '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', {}, "POST", 400],
    ["`__proto__`", '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"__proto__":{}}}', {}, "POST", 400],
    [
      "depth",
      `{"jsonrpc":"2.0","id":1,"method":"ping","params":${'{"a":'.repeat(40)}1${"}".repeat(41)}`,
      {},
      "POST",
      400,
    ],
    ["an unknown field", { ...rpc("ping"), extra: 1 }, {}, "POST", 400],
    ["an answer", { jsonrpc: "2.0", id: 1, result: {} }, {}, "POST", 400],
    ["no version of JSON-RPC", { id: 1, method: "ping" }, {}, "POST", 400],
    ["an id that is null", rpc("ping", undefined, null), {}, "POST", 400],
    ["a request without an id", notice("tools/list"), {}, "POST", 400],
    ["a method that is too long", rpc("m".repeat(limits.mcp.methodCharsMax + 1)), {}, "POST", 400],
    ["a body that is too large", rpc("ping", { a: "x".repeat(limits.door.toolBodyBytesMax) }), {}, "POST", 413],
  ];
  for (const [what, body, headers, method, status] of cases) {
    it(`${what}, on record`, async () => {
      recorded.length = 0;
      const answer = await ask(body, headers, method);
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.ok(answer.body.error);
      assert.equal(recorded.length, 1);
    });
  }
  it("an unknown method, an unknown tool and a second page, as JSON-RPC errors", async () => {
    assert.equal((await ask(rpc("resources/list"))).body.error?.code, -32_601);
    for (const name of ["nothing", "board.read", "__proto__", 5])
      assert.equal((await ask(rpc("tools/call", { name }))).body.error?.code, -32_602, String(name));
    assert.equal((await ask(rpc("tools/list", { cursor: "x" }))).body.error?.code, -32_602);
  });
});
