import type { Socket } from "node:net";
import ssh2, { type Channel, type Client } from "ssh2";
import { limits } from "../../../../protocol/limits.ts";
import { dial } from "../../web/dialer.ts";
import { isPinned, signaturesFor } from "./host-key.ts";
import type { SigningKey } from "./private-key.ts";
import type { RepositorySetting } from "./setting.ts";

/** No connection, in words of our own: what a server says is not repeated. */
export class UpstreamFault extends Error {}

/** One program that runs at the server, for one session. */
export interface Upstream {
  readonly channel: Channel;
  /** What the program has ended with; -1: it has not, or not in order. */
  readonly code: () => number;
  /** Resolves when the channel is over, with whether the server has closed it. */
  readonly over: Promise<boolean>;
  close(): void;
}

export interface Call {
  readonly setting: RepositorySetting;
  readonly addresses: readonly string[];
  readonly key: SigningKey;
  readonly command: string;
  /** For `GIT_PROTOCOL`; servers that do not take it speak the first version. */
  readonly protocol: string | null;
  readonly timeoutMs: number;
}

/** What is weaker is never spoken, whatever a server offers: no SHA-1, no CBC, no finite-field group, no compression. */
const ALGORITHMS = {
  kex: ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384"],
  cipher: ["aes256-gcm@openssh.com", "aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"],
  hmac: ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com"],
  compress: ["none"],
};

/** Calls the server, which must show a pinned key, proves who asks with the key, and starts the one command. */
export async function callUpstream(call: Call): Promise<Upstream> {
  const { setting } = call;
  const socket = await dial({ addresses: call.addresses, port: setting.port }).catch((error: unknown) => {
    throw new UpstreamFault(`it does not answer (${codeOf(error)})`);
  });
  socket.on("error", () => {});
  const client = new ssh2.Client();
  const close = (): void => {
    client.end();
    socket.destroy();
  };
  try {
    await connected(client, socket, call);
    return { ...(await started(client, call)), close };
  } catch (error) {
    close();
    throw error;
  }
}

function connected(client: Client, socket: Socket, { setting, key, timeoutMs }: Call): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (what: string): void => reject(new UpstreamFault(what));
  let refused: string | undefined;
  let exchanges = 0;
  client.on("handshake", () => {
    if (++exchanges > limits.git.keyExchangesMax) socket.destroy();
  });
  client.once("ready", resolve);
  // Later faults end the channel, which is told there.
  client.on("error", (error: { readonly level?: string }) =>
    fail(refused ?? FAULTS[error.level ?? ""] ?? "the connection broke"),
  );
  client.once("close", () => fail(refused ?? "the server closed the connection"));
  client.connect({
    sock: socket,
    username: setting.user,
    readyTimeout: timeoutMs,
    algorithms: { ...ALGORITHMS, serverHostKey: [...signaturesFor(setting.hostKeys)] },
    // The library takes all but `false` for yes.
    hostVerifier: (blob: Buffer): boolean => {
      if (isPinned(blob, setting.hostKeys)) return true;
      refused = "the server shows a host key that is not pinned";
      return false;
    },
    authHandler: [{ type: "agent", username: setting.user, agent: signerOf(key, (why) => (refused = why)) }],
    tryKeyboard: false,
    agentForward: false,
    strictVendor: true,
  });
  return promise;
}

/** The library asks for signatures and never holds the key. */
function signerOf(key: SigningKey, refuse: (why: string) => void): object {
  return new (class extends ssh2.BaseAgent {
    override getIdentities(answer: Parameters<InstanceType<typeof ssh2.BaseAgent>["getIdentities"]>[0]): void {
      const parsed = ssh2.utils.parseKey(key.publicText());
      if (parsed instanceof Error) answer(parsed);
      else answer(undefined, Array.isArray(parsed) ? parsed : [parsed]);
    }

    override sign(...[, data, { hash }, answer]: Parameters<InstanceType<typeof ssh2.BaseAgent>["sign"]>): void {
      const signed = key.sign(data, hash);
      if (signed.ok) return answer(undefined, signed.value);
      refuse(signed.error);
      answer(new Error(signed.error));
    }
  })();
}

const FAULTS: Readonly<Record<string, string>> = {
  "client-authentication": "the server does not take the key",
  "client-timeout": "the server takes too long to begin",
  handshake: "the server and the mesh have no algorithms in common, or it does not keep to the protocol",
  protocol: "the server does not keep to the protocol",
};

function started(client: Client, { command, protocol, timeoutMs }: Call): Promise<Omit<Upstream, "close">> {
  const { promise, resolve, reject } = Promise.withResolvers<Omit<Upstream, "close">>();
  const fail = (what: string): void => reject(new UpstreamFault(what));
  const timer = setTimeout(() => fail("the server takes too long to begin"), timeoutMs);
  client.once("close", () => fail("the server closed the connection"));
  try {
    client.exec(command, protocol === null ? {} : { env: { GIT_PROTOCOL: protocol } }, (error, channel) =>
      error ? fail("the server does not run the command") : resolve(watched(channel)),
    );
  } catch {
    // The library throws where the connection has gone in between; nobody may be left waiting for a rejection then.
    fail("the server closed the connection");
  }
  return promise.finally(() => clearTimeout(timer));
}

/** At once: a program that ends in the moment in which it begins has told its code before anybody else could listen. */
function watched(channel: Channel): Omit<Upstream, "close"> {
  let code = -1;
  const { promise: over, resolve } = Promise.withResolvers<boolean>();
  channel.on("exit", (told: number | null) => (code = typeof told === "number" ? Math.min(told, 255) : SIGNALLED));
  channel.once("close", () => resolve(true));
  channel.on("error", () => resolve(false));
  channel.stderr.on("error", () => resolve(false));
  return { channel, code: () => code, over };
}

/** What shells say of a program that a signal has ended. */
const SIGNALLED = 128;

const codeOf = (error: unknown): string => String((error as NodeJS.ErrnoException).code ?? "fault").slice(0, 40);
