/** Hostile code that a test puts into a sandbox: the gateway by hand, without any client library between. */
export const webAttacker = `
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import { ask, raw, tell } from "./prelude.mjs";
export const ca = (await ask("GET", "/v1/web/authority.pem")).text;
/** All that comes until the other side closes, or nothing has come for a while. */
const drain = (socket, bytes, quietMs) => new Promise((resolve) => {
  let text = "";
  let timer;
  const end = () => { clearTimeout(timer); socket.destroy(); resolve(text); };
  const wait = () => { clearTimeout(timer); timer = setTimeout(end, quietMs); };
  socket.on("data", (piece) => { text += piece.toString("latin1"); wait(); }).on("close", end).on("error", end);
  wait();
  socket.write(bytes);
});
/** The status of CONNECT, and the socket behind it. */
export const tunnel = (authority, host = authority) => new Promise((resolve) => {
  const socket = net.connect("/run/cordon/door.sock");
  let head = "";
  const end = () => resolve({ status: 0, text: head });
  socket.once("close", end).once("error", end);
  const read = (piece) => {
    head += piece.toString("latin1");
    const mark = head.indexOf("\\r\\n\\r\\n");
    if (mark < 0) return;
    const status = Number(head.split(" ")[1]);
    if (status !== 200) { socket.on("data", (more) => (head += more)); setTimeout(() => { socket.destroy(); resolve({ status, text: head }); }, 50); return; }
    socket.off("data", read).off("close", end).off("error", end);
    socket.on("error", () => {});
    resolve({ status, socket, text: "" });
  };
  socket.on("data", read);
  socket.write("CONNECT " + authority + " HTTP/1.1\\r\\nHost: " + host + "\\r\\n\\r\\n");
});
/** TLS in a tunnel; undefined when none was agreed on. */
export const secure = (socket, servername, more = {}) => new Promise((resolve) => {
  const inner = tls.connect({ socket, servername, ca, checkServerIdentity: () => undefined, ...more });
  inner.once("secureConnect", () => { inner.off("close", none); resolve(inner); });
  const none = () => resolve(undefined);
  inner.once("error", none).once("close", none);
  setTimeout(none, 8000).unref();
});
const answered = (text) => ({ status: Number(/^HTTP\\/1\\.1 (\\d{3})/.exec(text)?.[1] ?? 0), text: text.slice(0, 6000) });
/** Bytes in a tunnel with TLS, as an HTTP/1.1 client would send them. */
export const inTls = async (authority, bytes, servername = authority.split(":")[0], quietMs = 1500) => {
  const { status, socket, text } = await tunnel(authority);
  if (!socket) return { status, text };
  const inner = await secure(socket, servername);
  return inner ? answered(await drain(inner, bytes, quietMs)) : { status: 0, text: "no TLS" };
};
export const inPlain = async (authority, bytes, quietMs = 1500) => {
  const { status, socket, text } = await tunnel(authority);
  return socket ? answered(await drain(socket, bytes, quietMs)) : { status, text };
};
export const get = (host, path = "/", fields = []) => ["GET " + path + " HTTP/1.1", "Host: " + host, "Connection: close", ...fields, "", ""].join("\\r\\n");
export const post = (host, path, fields, body) => ["POST " + path + " HTTP/1.1", "Host: " + host, ...fields, "", body].join("\\r\\n");
/** One HTTP/2 request, or several on one connection, with exactly these headers. */
export const inHttp2 = async (authority, headers, body, times = 1) => {
  const { status, socket } = await tunnel(authority);
  if (!socket) return { status, text: "" };
  const inner = await secure(socket, authority.split(":")[0], { ALPNProtocols: ["h2"] });
  if (!inner) return { status: 0, text: "no TLS" };
  return new Promise((resolve) => {
    const session = http2.connect("https://" + authority, { createConnection: () => inner });
    const end = (answer) => { session.destroy(); resolve(answer); };
    session.on("error", () => end({ status: 0, text: "" }));
    session.on("close", () => resolve({ status: 0, text: "" }));
    for (let i = 1; i < times; i++) session.request(headers, { endStream: true }).on("error", () => {});
    let request;
    try { request = session.request(headers, { endStream: body === undefined }); } catch (error) { return end({ status: -1, text: String(error) }); }
    let text = "";
    let got = 0;
    request.on("response", (head) => (got = head[":status"])).on("data", (piece) => (text += piece)).on("end", () => end({ status: got, text })).on("error", () => end({ status: got, text }));
    setTimeout(() => end({ status: got, text }), 5000).unref();
    if (body !== undefined) request.end(body);
  });
};
/** Runs each in turn, and tells all of them at the end. */
export const report = async (tricks) => {
  const results = {};
  for (const [name, trick] of Object.entries(tricks)) {
    try { results[name] = await trick(); } catch (error) { results[name] = { status: -1, text: String(error) }; }
    tell("trick", { name, status: results[name].status, text: String(results[name].text).slice(0, 3000) });
  }
  tell("end", {});
  setInterval(() => {}, 1000);
};
`;
