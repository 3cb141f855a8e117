// The only way out that a sandbox has: HTTP over the Unix socket that is its identity.
import { connect } from "node:net";

// An import of this module would load fetch and cost ten times the memory.
const http = process.getBuiltinModule("node:http");

/** Another path is for trying the exhibit outside a sandbox. */
export const DOOR = process.env.INTERN_DOOR ?? "/run/cordon/door.sock";
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves with { status, json, text }; status 0 and the fault as text when nothing answered. */
export function ask(method, path, { body, headers = {}, timeoutMs = 2_500, socketPath = DOOR, onData } = {}) {
  return new Promise((resolve) => {
    const request = http.request({
      socketPath,
      method,
      path,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      agent: false,
    });
    const fail = (fault) => resolve({ status: 0, json: undefined, text: fault.code ?? fault.message });
    request.setTimeout(timeoutMs, () => request.destroy(new Error("no answer")));
    request.on("error", fail);
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece) => (onData ? onData(piece, response.statusCode) : (text += piece)));
      response.on("error", fail);
      response.on("end", () => resolve({ status: response.statusCode, json: parse(text), text }));
    });
    request.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
  });
}

const parse = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

export const tool = (name, body) => ask("POST", `/v1/tools/${name}`, { body });
export const settle = (id) => ask("POST", `/v1/inbox/${encodeURIComponent(id)}/done`, { body: {} });

/** What a refusal says, in short. */
export function refused({ status, json, text }) {
  const error = json?.error;
  return error
    ? `${status} ${error.code ?? error.type}: ${String(error.reason ?? error.message).slice(0, 90)}`
    : `${status} ${String(text).slice(0, 60)}`.trim();
}

/** Bytes as they are, past every check of an HTTP client; resolves with whatever came back. */
export function raw(bytes, timeoutMs = 1_500) {
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(DOOR, () => socket.write(bytes));
    socket.setEncoding("latin1").setTimeout(timeoutMs, () => socket.destroy());
    socket.on("data", (piece) => (text += piece)).on("error", () => {});
    socket.on("close", () => resolve(text));
  });
}
