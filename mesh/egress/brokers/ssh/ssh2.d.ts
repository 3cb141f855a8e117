/** What is used of the package `ssh2`, which brings no types of its own. */
declare module "ssh2" {
  import type { EventEmitter } from "node:events";
  import type { Duplex, Readable } from "node:stream";

  export interface Channel extends Duplex {
    readonly stderr: Readable;
    close(): void;
  }

  export class BaseAgent {
    getIdentities(answer: (error: Error | undefined, keys?: readonly ParsedKey[]) => void): void;
    sign(
      key: ParsedKey,
      data: Buffer,
      options: { readonly hash?: string },
      answer: (error: Error | undefined, signature?: Buffer) => void,
    ): void;
  }

  export interface ParsedKey {
    readonly type: string;
    getPublicSSH(): Buffer;
    /** Null of a public key. */
    getPrivatePEM(): string | null;
  }

  export class Client extends EventEmitter {
    connect(options: object): void;
    exec(
      command: string,
      options: { readonly env?: Readonly<Record<string, string>> },
      answer: (error: Error | undefined, channel: Channel) => void,
    ): void;
    end(): void;
    destroy(): void;
  }

  const ssh2: {
    readonly Client: typeof Client;
    readonly BaseAgent: typeof BaseAgent;
    readonly utils: {
      parseKey(key: Buffer | string, passphrase?: Buffer): ParsedKey | ParsedKey[] | Error;
    };
  };
  export default ssh2;
}
