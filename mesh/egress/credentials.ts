import type { Write } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import { compileScrubber, type Automaton } from "./scrubber.ts";

const PLACEHOLDER = "[credential removed by cordon]";

/** A credential made ready for one request: the text that goes into a header, and the automaton that keeps it out of answers. */
export interface Injection {
  readonly value: string;
  readonly automaton: Automaton;
  readonly writes: readonly Write[];
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
        known = { version, automaton: compileScrubber([bytes], PLACEHOLDER) };
        this.#automata.set(name, known);
      }
      return { value: Buffer.from(bytes).toString("latin1"), automaton: known.automaton, writes };
    });
    secret.erase();
    return injection;
  }
}
