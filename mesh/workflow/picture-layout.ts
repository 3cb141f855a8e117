import { levelsOf, type Node } from "./graph.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Middle of each box. */
  readonly boxes: ReadonlyMap<string, Point>;
  /** From the lower edge of a box by way of points between boxes to the upper edge of another. */
  readonly lines: readonly { readonly from: string; readonly to: string; readonly points: readonly Point[] }[];
}

export const box = { width: 216, height: 62, gapX: 28, gapY: 56, margin: 16, lane: 26 } as const;

/** A box, or the place on a level by which a long line passes. */
interface Cell {
  readonly key: string;
  readonly isBox: boolean;
  readonly above: Cell[];
  readonly below: Cell[];
}

/** Layers by longest path, long lines led between the boxes, order by the middle of neighbours (Sugiyama 1981). `nodes` in topological order. */
export function layOut(nodes: readonly Node[]): Layout {
  const levels = levelsOf(nodes);
  const rows: Cell[][] = [];
  const cells = new Map<string, Cell>();
  const put = (key: string, level: number, isBox: boolean): Cell => {
    const cell: Cell = { key, isBox, above: [], below: [] };
    (rows[level] ??= []).push(cell);
    return cell;
  };
  for (const { id } of nodes) cells.set(id, put(id, levels.get(id) ?? 0, true));
  const routes = nodes.flatMap(({ id, needs }) =>
    needs.flatMap((need) => {
      const [from, to] = [cells.get(need), cells.get(id)];
      if (!from || !to) return [];
      const way = [from];
      for (let level = (levels.get(need) ?? 0) + 1; level < (levels.get(id) ?? 0); level++)
        way.push(put(`${need}>${id}@${level}`, level, false));
      way.push(to);
      for (let i = 1; i < way.length; i++) {
        way[i - 1]?.below.push(way[i] as Cell);
        way[i]?.above.push(way[i - 1] as Cell);
      }
      return [{ from: need, to: id, way }];
    }),
  );
  order(rows);
  return place(rows, routes);
}

const SWEEPS = 8;

/** Down and up again, each row sorted by the mean position of its neighbours in the row before. */
function order(rows: readonly Cell[][]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep++) {
    const down = sweep % 2 === 0;
    for (let i = 1; i < rows.length; i++) {
      const row = rows[down ? i : rows.length - 1 - i] ?? [];
      const beside = rows[down ? i - 1 : rows.length - i] ?? [];
      const position = new Map(beside.map((cell, index) => [cell.key, index / Math.max(1, beside.length - 1)]));
      const middle = new Map(
        row.map((cell, index) => {
          const near = (down ? cell.above : cell.below).map(({ key }) => position.get(key) ?? 0);
          const own = index / Math.max(1, row.length - 1);
          return [cell.key, near.length > 0 ? near.reduce((a, b) => a + b, 0) / near.length : own];
        }),
      );
      row.sort((a, b) => (middle.get(a.key) ?? 0) - (middle.get(b.key) ?? 0));
    }
  }
}

interface Route {
  readonly from: string;
  readonly to: string;
  readonly way: readonly Cell[];
}

function place(rows: readonly Cell[][], routes: readonly Route[]): Layout {
  const widthOf = (row: readonly Cell[]): number =>
    row.reduce((sum, { isBox }) => sum + (isBox ? box.width : box.lane), 0) + box.gapX * Math.max(0, row.length - 1);
  const inner = Math.max(box.width, ...rows.map(widthOf));
  const points = new Map<string, Point>();
  rows.forEach((row, level) => {
    let x = box.margin + (inner - widthOf(row)) / 2;
    const y = box.margin + level * (box.height + box.gapY) + box.height / 2;
    for (const { key, isBox } of row) {
      const width = isBox ? box.width : box.lane;
      points.set(key, { x: x + width / 2, y });
      x += width + box.gapX;
    }
  });
  const at = (cell: Cell | undefined): Point => points.get(cell?.key ?? "") ?? { x: 0, y: 0 };
  const lines = routes.map(({ from, to, way }) => {
    const start = at(way[0]);
    const end = at(way.at(-1));
    // A lane is as high as a box, so that the line passes straight between the boxes beside it.
    const lanes = way.slice(1, -1).flatMap((cell) => {
      const { x, y } = at(cell);
      return [
        { x, y: y - box.height / 2 },
        { x, y: y + box.height / 2 },
      ];
    });
    const first = { x: start.x, y: start.y + box.height / 2 };
    const last = { x: end.x, y: end.y - box.height / 2 };
    return { from, to, points: [first, ...lanes, last] };
  });
  const boxes = new Map([...points].filter(([key]) => !key.includes(">")));
  const height = rows.length * (box.height + box.gapY) - box.gapY + 2 * box.margin;
  return { width: inner + 2 * box.margin, height, boxes, lines };
}
