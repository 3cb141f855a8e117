import { isMap, isScalar, LineCounter, parseDocument, type Document, type Node } from "yaml";

/** A mistake in the fleet file, where it stands (line and column from 1) and how to mend it. */
export interface Fault {
  readonly line: number;
  readonly column: number;
  readonly message: string;
  readonly fix: string;
}

export type Path = readonly PropertyKey[];

/** A YAML text whose values can be traced back to their place. */
export class Source {
  readonly faults: readonly Fault[];
  readonly value: unknown = undefined;
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();

  constructor(text: string) {
    // YAML 1.2 core schema: no custom tags, no merge keys; duplicate keys are errors.
    this.#document = parseDocument(text, {
      lineCounter: this.#lines,
      uniqueKeys: true,
      schema: "core",
      merge: false,
      prettyErrors: false,
    });
    const problems = [...this.#document.errors, ...this.#document.warnings];
    this.faults = problems.map((problem) => ({
      ...this.#place(problem.pos[0]),
      message: lowerFirst(problem.message.split("\n")[0] ?? "not valid YAML"),
      fix: "correct the YAML at this place",
    }));
    if (this.faults.length > 0) return;
    try {
      this.value = this.#document.toJS({ maxAliasCount: 0 });
    } catch {
      // Aliases can blow a small file up beyond any bound, and hide what a line means.
      this.faults = [{ line: 1, column: 1, message: "aliases (`*name`) are refused", fix: "write the value out" }];
    }
  }

  /** The fault at `path`; with `key`, at that key of the mapping there. */
  at(path: Path, message: string, fix: string, key?: string): Fault {
    return { ...this.#place(this.#offset(path, key)), message, fix };
  }

  #offset(path: Path, key: string | undefined): number {
    // A missing value has no place of its own: the nearest mapping that would hold it stands for it.
    for (let length = path.length; length >= 0; length--) {
      const node = (
        length === 0 ? this.#document.contents : this.#document.getIn(path.slice(0, length), true)
      ) as Node | null;
      if (!node || typeof node !== "object") continue;
      if (key !== undefined && length === path.length && isMap(node)) {
        const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key);
        const place = (pair?.key as Node | undefined)?.range;
        if (place) return place[0];
      }
      if (node.range) return node.range[0];
    }
    return 0;
  }

  #place(offset: number): { line: number; column: number } {
    const { line, col } = this.#lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
