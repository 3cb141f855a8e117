import type { Duplex } from "node:stream";
import type { Clock } from "../../../lib/clock.ts";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { refusal, refusalStatus, type Refusal, type RefusalBody } from "../../../protocol/refusal.ts";
import { parseAuthority, type Authority } from "./authority.ts";
import { looksLikeTls, readClientHello, type ClientHello } from "./client-hello.ts";
import { refusalFields } from "./front.ts";
import { passThrough } from "./passthrough.ts";
import type { WebSession } from "./session.ts";

/** From CONNECT to what is spoken in the tunnel. */
export async function enterTunnel(session: WebSession, target: string, socket: Duplex, head: Buffer): Promise<void> {
  const { warden } = session.lane;
  const to = parseAuthority(target);
  if (!to.ok) {
    const refused = refusal("malformed", `the place to connect to is not understood: ${to.error}`, "write `HOST:PORT`");
    await warden.refused({ verb: "web.tunnel", place: target.slice(0, 200) }, refused);
    return refuseTunnel(socket, refused);
  }
  const permit = await warden.tunnel(to.value);
  if (!permit.ok) return refuseTunnel(socket, permit.error);
  socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
  if (head.length > 0) socket.unshift(head);
  const opening = await readOpening(socket, session.lane.gateway.clock);
  if (!opening) return void socket.destroy();
  const checked = check(opening, to.value);
  if (!checked.ok) {
    await warden.refused({ verb: "web.tunnel", host: to.value.host, port: to.value.port }, checked.error);
    // Whatever is spoken in the tunnel, it is not a language in which a refusal can be told.
    return void socket.destroy();
  }
  if (permit.value.rule.tls === "passthrough") return passThrough(session.lane, to.value, permit.value, socket);
  if (opening === "plain") return session.readHttp1(socket, { scheme: "http", to: to.value });
  session.interception.take(socket, to.value);
}

type Opening = "plain" | Result<ClientHello, string>;

/** RFC 6066 §3: a name is asked for as itself, an address not at all. What is asked for is where the tunnel leads. */
function check(opening: Opening, to: Authority): Result<null, Refusal> {
  if (opening === "plain") return ok(null);
  if (!opening.ok)
    return err(
      refusal("malformed", `the tunnel's TLS is refused: ${opening.error}`, "connect with plain TLS 1.2 or 1.3"),
    );
  const { serverName } = opening.value;
  const agrees = to.literal ? serverName === null || serverName === to.host : serverName?.toLowerCase() === to.host;
  if (agrees) return ok(null);
  const said = serverName === null ? "no name" : `\`${serverName.slice(0, 100)}\``;
  return err(
    refusal(
      "denied",
      `the tunnel leads to \`${to.host}\`, but its TLS asks for ${said}`,
      "ask for the host of the tunnel (SNI)",
    ),
  );
}

/** The first bytes in the tunnel, which stay to be read again. Undefined: none came in time. */
function readOpening(socket: Duplex, clock: Clock): Promise<Opening | undefined> {
  const { promise, resolve } = Promise.withResolvers<Opening | undefined>();
  const stop = new AbortController();
  let seen = Buffer.alloc(0);
  const end = (opening: Opening | undefined): void => {
    socket.off("readable", look).off("close", gone).off("end", gone);
    stop.abort();
    if (seen.length > 0) socket.unshift(seen);
    resolve(opening);
  };
  const gone = (): void => end(undefined);
  const look = (): void => {
    for (let piece = socket.read() as Buffer | null; piece !== null; piece = socket.read() as Buffer | null) {
      seen = Buffer.concat([seen, piece]);
      if (!looksLikeTls(seen[0] ?? 0)) return end("plain");
      const hello = readClientHello(seen);
      if (hello !== "more") return end(hello);
    }
  };
  clock.sleep(limits.web.helloTimeoutMs, stop.signal).then(gone, () => {});
  socket.on("readable", look).once("close", gone).once("end", gone);
  if (socket.destroyed) gone();
  else look();
  return promise;
}

/** A client shows the status of a refused CONNECT, some also its body. */
function refuseTunnel(socket: Duplex, refused: Refusal): void {
  const body = JSON.stringify({ error: refused } satisfies RefusalBody);
  const fields = [...refusalFields(Buffer.byteLength(body)), ["connection", "close"]].map((field) => field.join(": "));
  socket.end(`HTTP/1.1 ${refusalStatus[refused.code]} Refused\r\n${fields.join("\r\n")}\r\n\r\n${body}`);
}
