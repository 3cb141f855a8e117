import { once } from "node:events";
import type { Socket } from "node:net";
import { connect as connectTls, createSecureContext, type TLSSocket } from "node:tls";
import { limits } from "../../../../protocol/limits.ts";
import { isAddress } from "../../web/address.ts";
import { dial } from "../../web/dialer.ts";
import { endPoint } from "./end-point.ts";
import { int32, ProtocolFault } from "./frames.ts";
import type { DatabaseSetting } from "./setting.ts";

export interface Upstream {
  readonly socket: Socket;
  /** `tls-server-end-point`; null: there is no TLS, or its certificate has none. */
  readonly binding: Buffer | null;
}

const SSL_REQUEST = Buffer.concat([int32(8), int32(80_877_103)]);

/** A connection to the server that the setting names, proven to be that one where it does not say `tls: off`. */
export async function connectUpstream(setting: DatabaseSetting, addresses: readonly string[]): Promise<Upstream> {
  const socket = await dial({ addresses, port: setting.port });
  socket.on("error", () => {});
  if (setting.tls === "off") return { socket, binding: null };
  try {
    socket.setTimeout(limits.web.dialTimeoutMs, () => socket.destroy());
    socket.write(SSL_REQUEST);
    const answer = await oneByte(socket);
    if (answer !== "S") throw new ProtocolFault("the server has no TLS");
    const secure = await secured(socket, setting);
    socket.setTimeout(0);
    return { socket: secure, binding: endPoint(secure.getPeerX509Certificate()?.raw ?? Buffer.alloc(0)) };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** Bytes beyond the one would be taken for the server's own behind the TLS, which they are not. */
async function oneByte(socket: Socket): Promise<string> {
  const closed = once(socket, "close").then(() => Buffer.alloc(0));
  const [piece] = (await Promise.race([once(socket, "data"), closed.then((none) => [none])])) as [Buffer];
  socket.pause();
  if (piece.length !== 1) throw new ProtocolFault("the server's answer to the request for TLS is not one byte");
  return piece.toString("latin1");
}

/** Verified always: the chain against `ca`, and the name against the host of the setting. */
async function secured(socket: Socket, { host, ca }: DatabaseSetting): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const secure = connectTls({
    socket,
    host,
    ...(isAddress(host) ? {} : { servername: host }),
    secureContext: createSecureContext({ minVersion: "TLSv1.2", ...(ca === null ? {} : { ca }) }),
    rejectUnauthorized: true,
    ALPNProtocols: ["postgresql"],
  });
  secure.on("error", reject);
  secure.once("close", () => reject(new ProtocolFault("the server closed the connection")));
  secure.once("secureConnect", () =>
    secure.authorized ? resolve(secure) : reject(new ProtocolFault("the server's certificate is not verified")),
  );
  return promise;
}
