/** A step and what it needs; ids that are not in the graph are ignored. */
export interface Node {
  readonly id: string;
  readonly needs: readonly string[];
}

export type Order =
  | { readonly ok: true; readonly ids: readonly string[] }
  /** Each one needs the next, the last one the first. */
  | { readonly ok: false; readonly cycle: readonly string[] };

/** Kahn's algorithm; among what is free, file order. O(nodes + needs). */
export function topologicalOrder(nodes: readonly Node[]): Order {
  const known = new Set(nodes.map(({ id }) => id));
  const waitsFor = new Map<string, number>();
  const dependents = new Map<string, string[]>();
  for (const { id, needs } of nodes) {
    const real = [...new Set(needs)].filter((need) => known.has(need));
    waitsFor.set(id, real.length);
    for (const need of real) dependents.set(need, [...(dependents.get(need) ?? []), id]);
  }
  const free = nodes.map(({ id }) => id).filter((id) => waitsFor.get(id) === 0);
  for (let i = 0; i < free.length; i++) {
    for (const next of dependents.get(free[i] ?? "") ?? []) {
      const left = (waitsFor.get(next) ?? 0) - 1;
      waitsFor.set(next, left);
      if (left === 0) free.push(next);
    }
  }
  return free.length === nodes.length ? { ok: true, ids: free } : { ok: false, cycle: findCycle(nodes, free) };
}

/** Every node that is not free needs another such node: going from need to need must come back. */
function findCycle(nodes: readonly Node[], free: readonly string[]): string[] {
  const done = new Set(free);
  const stuck = new Map(nodes.filter(({ id }) => !done.has(id)).map((node) => [node.id, node]));
  const path: string[] = [];
  let at = stuck.keys().next().value ?? "";
  while (!path.includes(at)) {
    path.push(at);
    at = stuck.get(at)?.needs.find((need) => stuck.has(need)) ?? "";
  }
  return path.slice(path.indexOf(at));
}

/** For each id everything that it needs, directly or through others. `nodes` in topological order. */
export function ancestorsOf(nodes: readonly Node[]): ReadonlyMap<string, ReadonlySet<string>> {
  const all = new Map<string, ReadonlySet<string>>();
  for (const { id, needs } of nodes) {
    const set = new Set<string>();
    for (const need of needs) {
      set.add(need);
      for (const further of all.get(need) ?? []) set.add(further);
    }
    all.set(id, set);
  }
  return all;
}

/** Longest way from a start, per id: the level on which a picture shows it. `nodes` in topological order. */
export function levelsOf(nodes: readonly Node[]): ReadonlyMap<string, number> {
  const levels = new Map<string, number>();
  for (const { id, needs } of nodes) levels.set(id, Math.max(0, ...needs.map((need) => (levels.get(need) ?? -1) + 1)));
  return levels;
}
