import type { Write } from "../store/store.ts";
import type { Vault } from "../vault/vault.ts";
import type { CredentialUse } from "../vault/watch.ts";
import { compileScrubber, type Automaton } from "./scrubber.ts";
import { awsKeyOf } from "./signing.ts";

const PLACEHOLDER = "[credential removed by cordon]";

/** A credential made ready for one request: the text that goes into a header, and the automaton that keeps it out of answers. */
export interface Injection {
  readonly value: string;
  readonly automaton: Automaton;
  readonly writes: readonly Write[];
  /** Whether the value may still be sent: what is ready may have to wait. */
  readonly stands?: () => boolean;
}

/** What is not to come back: the credential, and of an AWS key also its secret and its token by themselves. */
function partsOf(bytes: Uint8Array): Uint8Array[] {
  const key = awsKeyOf(Buffer.from(bytes).toString("latin1"));
  const parts = key ? [key.secretAccessKey, ...(key.sessionToken === undefined ? [] : [key.sessionToken])] : [];
  return [bytes, ...parts.map((part) => Buffer.from(part, "latin1"))];
}

/**
 * The one place at which a secret leaves the vault. Value and automaton are kept as long as the vault gives out the
 * same: to open a value, and more so to compile an automaton (which holds it as well), costs more than a request.
 */
export class Injector {
  readonly #vault: Vault;
  readonly #automata = new Map<string, { readonly generation: string; readonly automaton: Automaton }>();
  readonly #ready = new Map<
    string,
    { readonly generation: string; readonly stands: () => boolean } & Omit<Injection, "writes">
  >();

  constructor(vault: Vault) {
    this.#vault = vault;
  }

  /** Undefined when the vault holds no credential of that name that stands. */
  prepare(name: string, use?: CredentialUse): Injection | undefined {
    const generation = this.#vault.generation(name);
    const ready = this.#ready.get(name);
    if (ready?.generation === generation) {
      const writes = this.#vault.count(name, use);
      if (writes) return { value: ready.value, automaton: ready.automaton, writes, stands: ready.stands };
      // Nothing is kept of what does not stand any more.
      this.#ready.delete(name);
      return undefined;
    }
    this.#ready.delete(name);
    const found = this.#vault.reveal(name, use);
    if (!found) return undefined;
    const { secret, writes } = found;
    const made = secret.reveal((bytes) => {
      const automaton = this.#automatonOf(name, bytes);
      const stands = (): boolean => this.#stands(name, generation);
      return { generation, value: Buffer.from(bytes).toString("latin1"), automaton, stands };
    });
    secret.erase();
    this.#ready.set(name, made);
    return { value: made.value, automaton: made.automaton, writes, stands: made.stands };
  }

  /** The newest version of `generation` is one that is still known: a rotation takes none away before its time. */
  #stands(name: string, generation: string): boolean {
    const now = this.#vault.generation(name);
    if (now === generation) return true;
    const [newest = ""] = generation.split(" ");
    return now.split(" ").includes(newest);
  }

  /** What finds it in answers, without a use of it; undefined when the vault holds none of that name. */
  watch(name: string): Automaton | undefined {
    const known = this.#automata.get(name);
    if (known?.generation === this.#vault.generation(name)) return known.automaton;
    const secret = this.#vault.look(name);
    const automaton = secret?.reveal((bytes) => this.#automatonOf(name, bytes));
    secret?.erase();
    return automaton;
  }

  /**
   * The bytes themselves, for a protocol that proves to have a key and never sends it. Undefined when the vault holds no
   * credential of that name that stands. The caller zeroes them.
   */
  lend(
    name: string,
    use?: CredentialUse,
  ): { readonly bytes: Uint8Array; readonly writes: readonly Write[] } | undefined {
    const found = this.#vault.reveal(name, use);
    if (!found) return undefined;
    const bytes = found.secret.reveal((held) => Uint8Array.from(held));
    found.secret.erase();
    return { bytes, writes: found.writes };
  }

  /** Keeps the current value out of answers, and the ones before it as long as somebody may still repeat them. */
  #automatonOf(name: string, current: Uint8Array): Automaton {
    const generation = this.#vault.generation(name);
    const known = this.#automata.get(name);
    if (known?.generation === generation) return known.automaton;
    const older = this.#vault.retiring(name).map(({ secret }) => secret);
    const parts = [...partsOf(current), ...older.flatMap((secret) => secret.reveal(partsOf))];
    const automaton = compileScrubber(parts, PLACEHOLDER);
    // The automaton has copies of its own; `partsOf` gives the bytes themselves.
    for (const secret of older) secret.erase();
    this.#automata.set(name, { generation, automaton });
    return automaton;
  }
}
