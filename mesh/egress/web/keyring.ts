import type { CredentialUse } from "../../vault/watch.ts";
import type { Injection } from "../credentials.ts";
import { Scrubber, type Automaton } from "../scrubber.ts";

/** An automaton knows a version and those before it that still open something; the one before is kept beside it. */
const AUTOMATA_KEPT = 2;

export interface Injects {
  prepare(name: string, use?: CredentialUse): Injection | undefined;
  watch(name: string): Automaton | undefined;
}

/** The credentials that go out over the web, and what finds them in answers. */
export class Keyring {
  readonly #injector: Injects;
  readonly #automata = new Map<string, readonly Automaton[]>();

  constructor(injector: Injects) {
    this.#injector = injector;
  }

  /** Undefined when the vault holds none of that name. */
  take(name: string, use?: CredentialUse): Injection | undefined {
    const injection = this.#injector.prepare(name, use);
    if (injection) this.#keep(name, injection.automaton);
    return injection;
  }

  /** For an answer to an agent: whatever it may use is kept out, also what an earlier request has left behind. */
  watched(names: readonly string[]): readonly Automaton[] {
    const [first] = names;
    if (first === undefined) return NONE;
    return names.length === 1 ? this.#watched(first) : names.flatMap((name) => this.#watched(name));
  }

  #watched(name: string): readonly Automaton[] {
    const automaton = this.#injector.watch(name);
    return automaton ? this.#keep(name, automaton) : (this.#automata.get(name) ?? NONE);
  }

  #keep(name: string, automaton: Automaton): readonly Automaton[] {
    const known = this.#automata.get(name) ?? [];
    if (known[0] === automaton) return known;
    const kept = [automaton, ...known].slice(0, AUTOMATA_KEPT);
    this.#automata.set(name, kept);
    return kept;
  }
}

const NONE: readonly Automaton[] = [];

/** One text by itself. */
export function scrubText(
  automata: readonly Automaton[],
  text: string,
): { readonly text: string; readonly hits: number } {
  let bytes = Buffer.from(text, "latin1");
  let hits = 0;
  for (const automaton of automata) {
    const scrubber = new Scrubber(automaton);
    bytes = Buffer.concat([scrubber.push(bytes), scrubber.end()]);
    hits += scrubber.hits;
  }
  return { text: hits === 0 ? text : bytes.toString("latin1"), hits };
}
