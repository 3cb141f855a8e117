import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ancestorsOf, levelsOf, topologicalOrder, type Node } from "./graph.ts";

const graphs = fc
  .integer({ min: 1, max: 9 })
  .chain((size) =>
    fc
      .array(fc.array(fc.integer({ min: 0, max: size - 1 }), { maxLength: 3 }), { minLength: size, maxLength: size })
      .map((needs) => needs.map((list, index): Node => ({ id: `n${index}`, needs: list.map((need) => `n${need}`) }))),
  );

/** Naive: a node is in a cycle when going on from its needs, it can be met again. */
function reaches(nodes: readonly Node[], from: string, to: string, seen = new Set<string>()): boolean {
  return (nodes.find(({ id }) => id === from)?.needs ?? []).some((need) => {
    if (need === to) return true;
    if (seen.has(need)) return false;
    seen.add(need);
    return reaches(nodes, need, to, seen);
  });
}

test("order and cycles are those of a naive search", () => {
  fc.assert(
    fc.property(graphs, (nodes) => {
      const order = topologicalOrder(nodes);
      const cyclic = nodes.filter(({ id }) => reaches(nodes, id, id));
      assert.equal(order.ok, cyclic.length === 0);
      if (!order.ok) {
        order.cycle.forEach((id, index) => {
          const next = order.cycle[(index + 1) % order.cycle.length] ?? "";
          assert.ok(nodes.find((node) => node.id === id)?.needs.includes(next), "each one needs the next");
        });
        return;
      }
      assert.deepEqual([...order.ids].sort(), nodes.map(({ id }) => id).sort());
      for (const { id, needs } of nodes)
        for (const need of needs) assert.ok(order.ids.indexOf(need) < order.ids.indexOf(id));
      const sorted = order.ids.map((id) => nodes.find((node) => node.id === id) as Node);
      const ancestors = ancestorsOf(sorted);
      const levels = levelsOf(sorted);
      for (const { id, needs } of nodes) {
        for (const other of nodes) assert.equal(ancestors.get(id)?.has(other.id), reaches(nodes, id, other.id));
        for (const need of needs) assert.ok((levels.get(need) ?? 0) < (levels.get(id) ?? 0));
      }
    }),
    { seed: 5, numRuns: 1_000 },
  );
});

test("ten thousand steps in a chain are ordered without recursion", () => {
  const nodes = Array.from({ length: 10_000 }, (_, i) => ({ id: `n${i}`, needs: i === 9_999 ? [] : [`n${i + 1}`] }));
  const order = topologicalOrder(nodes);
  assert.ok(order.ok && order.ids[0] === "n9999");
});
