/**
 * `/mcp`: the mesh's tools as a Model Context Protocol server over Streamable HTTP, for guests that speak it. It keeps
 * no session and pushes nothing, so one POST is one exchange; the tools, their rights and their evidence are those of
 * `/v1/tools`. Revisions 2025-03-26 to 2025-11-25 (with `initialize`) and 2026-07-28 (without).
 */
import { limits } from "../../protocol/limits.ts";
import { readJson, type HttpRequest, type HttpResponse } from "../http/exchange.ts";
import { recordRefusal } from "./ask.ts";
import { answerTo, type McpReply } from "./mcp-exchange.ts";
import { mcpError, type McpFault } from "./mcp-message.ts";
import type { Caller, DoorServices } from "./services.ts";

/** A page that an agent's browser shows must not reach the tools by way of the browser. */
const OWN_ORIGIN = /^http:\/\/(?:127\.0\.0\.1|localhost)(?::\d{1,5})?$/;

export async function mcpCall(
  services: DoorServices,
  caller: Caller,
  request: HttpRequest,
  response: HttpResponse,
): Promise<void> {
  const refuse = async (status: number, fault: McpFault): Promise<void> => {
    const about = { verb: "door.request", method: (request.method ?? "").slice(0, 16), path: "/mcp" };
    await recordRefusal(services, caller, about, { code: "malformed", reason: fault.message, remedy: fault.remedy });
    send(response, { status, body: mcpError(null, fault) });
  };
  const header = (name: string): string | undefined => {
    const value = request.headers[name];
    return Array.isArray(value) ? value.join(",") : value;
  };
  if (request.method !== "POST") {
    response.setHeader("allow", "POST");
    return refuse(405, {
      code: -32_600,
      message: "this server pushes nothing and keeps no session",
      remedy: "use POST",
    });
  }
  const origin = header("origin");
  if (origin !== undefined && !OWN_ORIGIN.test(origin))
    return refuse(403, { code: -32_600, message: "a request of another origin", remedy: "leave out `Origin`" });
  if (!/^application\/json(?:\s*;|$)/i.test(header("content-type") ?? ""))
    return refuse(415, { code: -32_600, message: "the body is not `application/json`", remedy: "send JSON" });
  const accept = header("accept") ?? "*/*";
  if (!/application\/json|application\/\*|\*\/\*/i.test(accept))
    return refuse(406, { code: -32_600, message: "the answer is JSON", remedy: "accept `application/json`" });
  const body = await readJson(request, limits.door.toolBodyBytesMax);
  if (!body.ok) {
    const { code, reason, remedy } = body.error;
    if (code === "too_large") response.setHeader("connection", "close");
    return refuse(code === "too_large" ? 413 : 400, { code: -32_700, message: reason, remedy });
  }
  const gone = new AbortController();
  response.once("close", () => response.writableFinished || gone.abort());
  const reply = await answerTo(services, caller, header, body.value.value, gone.signal);
  if ("refused" in reply) return refuse(reply.status, reply.refused);
  send(response, reply);
}

function send(response: HttpResponse, { status, body }: McpReply): void {
  if (response.headersSent || response.destroyed) return;
  const text = body === null ? "" : JSON.stringify(body);
  response.writeHead(status, {
    ...(body === null ? {} : { "content-type": "application/json" }),
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(text);
}
