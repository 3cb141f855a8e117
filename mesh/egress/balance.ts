/**
 * Smooth weighted round robin: who has had fewer calls than its share comes first, and none has a run of them. A
 * share halves with each failure in a row; one whose circuit is open has none.
 */
export class Balance {
  /** Of each group (a model of a provider) the credit of each credential. */
  readonly #credits = new Map<string, Map<string, number>>();
  readonly #groupsMax: number;

  constructor(groupsMax: number) {
    this.#groupsMax = groupsMax;
  }

  /** All of `names` in the order in which they are to be tried; those with an open circuit come last. */
  order(group: string, names: readonly string[], failuresOf: (name: string) => number): string[] {
    if (names.length < 2) return [...names];
    const credits = this.#credits.get(group) ?? new Map<string, number>();
    this.#keep(group, credits);
    const rated = names.map((name) => ({ name, weight: WEIGHT * 2 ** -Math.min(failuresOf(name), FAILURES_MAX) }));
    const fit = rated.filter(({ name }) => failuresOf(name) !== Infinity);
    let total = 0;
    for (const { name, weight } of fit) {
      credits.set(name, (credits.get(name) ?? 0) + weight);
      total += weight;
    }
    const credit = (name: string): number => credits.get(name) ?? 0;
    fit.sort((a, b) => credit(b.name) - credit(a.name));
    const [first] = fit;
    if (first) credits.set(first.name, credit(first.name) - total);
    return [...fit, ...rated.filter((each) => !fit.includes(each))].map(({ name }) => name);
  }

  #keep(group: string, credits: Map<string, number>): void {
    this.#credits.delete(group);
    this.#credits.set(group, credits);
    const [oldest] = this.#credits.keys();
    if (this.#credits.size > this.#groupsMax && oldest !== undefined) this.#credits.delete(oldest);
  }
}

const WEIGHT = 8;
const FAILURES_MAX = 3;
