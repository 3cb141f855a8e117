import { connect, type Socket } from "node:net";
import {
  checkServerIdentity,
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { assert } from "../../../lib/assert.ts";
import { limits } from "../../../protocol/limits.ts";
import { trusting } from "../authorities.ts";
import type { Dial } from "../http1/pool.ts";
import { ReadMemory } from "../http1/read-memory.ts";
import { isAddress } from "./address.ts";

/** Where to: addresses that were checked, in the order in which to try them. */
export interface Destination {
  readonly addresses: readonly string[];
  readonly port: number;
}

/** A TCP connection to one of the addresses and to nothing else: no name comes this far. `memory` is what it reads into. */
export async function dial({ addresses, port }: Destination, memory?: ReadMemory): Promise<Socket> {
  let fault: unknown = new Error("no address");
  for (const address of addresses) {
    assert(isAddress(address), "only addresses are dialled");
    try {
      return await dialOne(address, port, memory);
    } catch (error) {
      fault = error;
    }
  }
  throw fault;
}

function dialOne(host: string, port: number, memory?: ReadMemory): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host, port, noDelay: true, ...(memory && { onread: memory.onread }) });
  socket.setTimeout(limits.web.dialTimeoutMs, () => socket.destroy(timedOut()));
  socket.once("error", reject);
  socket.once("connect", () => {
    socket.off("error", reject);
    socket.setTimeout(0);
    resolve(socket);
  });
  return promise;
}

/** Whom to trust upstream: the authorities that the mesh's own runtime does, and those of the user's file in PEM. */
export const trustOf = (ca: string | null): SecureContext =>
  createSecureContext({ minVersion: "TLSv1.2", ...trusting(ca) });

/** TLS towards `host`, verified always: there is no switch. */
export async function dialTls(to: Destination, host: string, trust: SecureContext): Promise<TLSSocket> {
  const socket = await dial(to);
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const secure = connectTls({
    socket,
    host,
    ...(isAddress(host) ? {} : { servername: host }),
    secureContext: trust,
    rejectUnauthorized: true,
    ALPNProtocols: ["http/1.1"],
  });
  secure.setTimeout(limits.web.dialTimeoutMs, () => secure.destroy(timedOut()));
  secure.once("error", (error) => {
    socket.destroy();
    reject(error);
  });
  secure.once("secureConnect", () => {
    // The option above ends it before; this holds should that ever be changed.
    if (!secure.authorized) return void secure.destroy(new Error("not verified"));
    secure.setTimeout(0);
    resolve(secure);
  });
  return promise;
}

/** A place, and what is spoken with it. */
export interface Upstream extends Destination {
  readonly scheme: "http" | "https";
  readonly host: string;
}

/** Connections to the addresses that were checked, for a pool; TLS is verified always, for `host` and nothing else. */
export function dialOf({ scheme, host, port, addresses }: Upstream, trust: SecureContext): Dial {
  return {
    choices: addresses.length,
    open(choice) {
      const address = addresses[choice] ?? "";
      assert(isAddress(address), "only addresses are dialled");
      const memory = new ReadMemory(scheme === "http");
      const to = { host: address, port, noDelay: true, onread: memory.onread };
      if (scheme === "http") return { socket: connect(to), memory };
      const socket = connectTls({
        ...to,
        ...(isAddress(host) ? {} : { servername: host }),
        // Who is asked for is the host, wherever its address is.
        checkServerIdentity: (_address, certificate) => checkServerIdentity(host, certificate),
        secureContext: trust,
        rejectUnauthorized: true,
        ALPNProtocols: ["http/1.1"],
      });
      return { socket, memory };
    },
  };
}

const timedOut = (): Error => Object.assign(new Error("timed out"), { code: "ETIMEDOUT" });
