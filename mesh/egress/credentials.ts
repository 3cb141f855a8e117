import type { Write } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import { compileScrubber, type Automaton } from "./scrubber.ts";
import { awsKeyOf } from "./signing.ts";

const PLACEHOLDER = "[credential removed by cordon]";

/** A credential made ready for one request: the text that goes into a header, and the automaton that keeps it out of answers. */
export interface Injection {
  readonly value: string;
  readonly automaton: Automaton;
  readonly writes: readonly Write[];
}

/** What is not to come back: the credential, and of an AWS key also its secret and its token by themselves. */
function partsOf(bytes: Uint8Array): Uint8Array[] {
  const key = awsKeyOf(Buffer.from(bytes).toString("latin1"));
  const parts = key ? [key.secretAccessKey, ...(key.sessionToken === undefined ? [] : [key.sessionToken])] : [];
  return [bytes, ...parts.map((part) => Buffer.from(part, "latin1"))];
}

/** The one place at which a secret leaves the vault. Automata are kept per version: compiling costs more than a request. */
export class Injector {
  readonly #vault: Vault;
  readonly #automata = new Map<string, { readonly version: number; readonly automaton: Automaton }>();

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** Undefined when the vault holds no credential of that name. */
  prepare(name: string): Injection | undefined {
    const found = this.#vault.reveal(name);
    if (!found) return undefined;
    const { secret, version, writes } = found;
    const injection = secret.reveal((bytes) => {
      let known = this.#automata.get(name);
      if (known?.version !== version) {
        known = { version, automaton: compileScrubber(partsOf(bytes), PLACEHOLDER) };
        this.#automata.set(name, known);
      }
      return { value: Buffer.from(bytes).toString("latin1"), automaton: known.automaton, writes };
    });
    secret.erase();
    return injection;
  }
}
