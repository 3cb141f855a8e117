import { isAlias, isMap, isScalar, LineCounter, parseDocument, visit, type Document, type Node } from "yaml";
import { limits } from "../../protocol/limits.ts";

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
    if (Buffer.byteLength(text) > limits.fleet.fileBytesMax) {
      this.#document = parseDocument("");
      const message = `larger than ${limits.fleet.fileBytesMax} bytes`;
      this.faults = [{ line: 1, column: 1, message, fix: "split the fleet" }];
      return;
    }
    // YAML 1.2 core schema: no merge keys. `uniqueKeys` would compare each key with each other one: see `twice`.
    const options = { uniqueKeys: false, schema: "core", merge: false, prettyErrors: false } as const;
    this.#document = parseDocument(text, { ...options, lineCounter: this.#lines });
    const told = [...this.#document.errors, ...this.#document.warnings].slice(0, FAULTS_MAX);
    const problems = told.map((problem) => {
      const [message, fix] =
        problem.code === "RESOURCE_EXHAUSTION"
          ? TOO_DEEP
          : [lowerFirst(firstLine(problem.message)), "correct the YAML at this place"];
      return { ...this.#place(problem.pos[0]), message, fix };
    });
    this.faults = problems.length > 0 ? problems : this.#unplain();
    if (this.faults.length === 0) this.value = this.#document.toJS({ maxAliasCount: 0 });
  }

  /** YAML beyond plain values: what it says is not what a reader sees, or two readers could see two things. */
  #unplain(): Fault[] {
    const faults: Fault[] = [];
    const refuse = (node: Node, message: string, fix: string): void => {
      if (faults.length < FAULTS_MAX) faults.push({ ...this.#place(node.range?.[0] ?? 0), message, fix });
    };
    visit(this.#document, {
      Node: (_key, node, path) => {
        if (isAlias(node)) refuse(node, "aliases (`*name`) are refused", "write the value out");
        else if (node.anchor !== undefined) refuse(node, "anchors (`&name`) are refused", "remove it");
        else if (node.tag !== undefined) refuse(node, "tags (`!name`) are refused", "remove it");
        else if (path.length > DEPTH_MAX) refuse(node, ...TOO_DEEP);
        else return undefined;
        return visit.BREAK;
      },
    });
    if (faults.length > 0) return faults;
    visit(this.#document, {
      Map: (_key, { items }) => {
        const seen = new Set<unknown>();
        for (const { key } of items) {
          if (!isScalar(key)) refuse(key as Node, "a key is a list or a mapping", "use a word as key");
          else if (key.value === "__proto__") refuse(key, "the key `__proto__` is refused", "remove it");
          else if (seen.has(String(key.value)))
            refuse(key, `the key \`${String(key.value)}\` is there twice`, "remove one of them");
          else seen.add(String(key.value));
        }
      },
    });
    return faults;
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

/** Of one kind; nobody mends more at once, and each costs a search for its place. */
export const FAULTS_MAX = 50;
/** Nodes between the root and a value; no place of a fleet file is so deep. */
const DEPTH_MAX = 32;
const TOO_DEEP = ["nested too deeply", "correct the nesting"] as const;

const firstLine = (text: string): string => text.split("\n")[0] ?? "";
const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
