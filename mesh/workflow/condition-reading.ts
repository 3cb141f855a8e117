import type { parse } from "@bufbuild/cel";
import { err, ok, type Result } from "../../lib/result.ts";
import type { Reference } from "./definition.ts";

type Expr = ReturnType<typeof parse>["expr"];
type Kind<C extends Expr["exprKind"]["case"]> =
  Extract<Expr["exprKind"], { case: C }> extends { value: infer V } ? V : never;

/** Functions whose cost is in proportion to what they look at. What is not here is refused. */
const FUNCTIONS: ReadonlySet<string> = new Set([
  ...["_&&_", "_||_", "!_", "_?_:_", "_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "@in", "_[_]", "-_"],
  ...["size", "contains", "startsWith", "endsWith", "@not_strictly_false"],
]);

/** Finds the data that a condition can see; refuses what could cost more than it should. */
export function readCondition(expr: Expr, items: readonly string[]): Result<readonly Reference[], string> {
  const reader = new Reader(items);
  reader.visit(expr, []);
  return reader.fault === undefined ? ok(reader.references) : err(reader.fault);
}

class Reader {
  readonly references: Reference[] = [];
  fault: string | undefined;
  readonly #items: readonly string[];
  #loops = 0;

  constructor(items: readonly string[]) {
    this.#items = items;
  }

  /** `locals`: variables of the loops around it. */
  visit(expr: Expr | undefined, locals: readonly string[]): void {
    if (!expr || this.fault !== undefined) return;
    const chain = chainOf(expr);
    if (chain && !locals.includes(chain.root)) return this.#reference(chain);
    const { exprKind } = expr;
    switch (exprKind.case) {
      case "constExpr":
      case "identExpr":
        return;
      case "selectExpr":
        return this.visit(exprKind.value.operand, locals);
      case "listExpr":
        return exprKind.value.elements.forEach((element) => this.visit(element, locals));
      case "callExpr":
        return this.#call(exprKind.value, locals);
      case "comprehensionExpr":
        return this.#loop(exprKind.value, locals);
      default:
        this.fault = "the condition makes a structure: compare values one by one";
    }
  }

  #call(call: Kind<"callExpr">, locals: readonly string[]): void {
    if (!FUNCTIONS.has(call.function)) {
      const name = call.function.replaceAll(/[_@]/g, "");
      this.fault = `\`${name}\` is not for conditions: they compare (\`==\`, \`<\`, \`in\`, \`size\`, \`contains\`, \`startsWith\`, \`endsWith\`, \`all\`, \`exists\`, \`has\`)`;
      return;
    }
    for (const part of [call.target, ...call.args]) this.visit(part, locals);
  }

  #loop(loop: Kind<"comprehensionExpr">, locals: readonly string[]): void {
    if (locals.length > 0) {
      this.fault = "a loop inside a loop: let a step work it out";
      return;
    }
    if (++this.#loops > LOOPS_MAX) {
      this.fault = `more than ${LOOPS_MAX} loops in one condition: let a step work it out`;
      return;
    }
    if (["input", "steps", ...this.#items].includes(loop.iterVar)) {
      this.fault = `\`${loop.iterVar}\` names data: give the loop's variable another name`;
      return;
    }
    this.visit(loop.iterRange, locals);
    const inner = [...locals, loop.iterVar, loop.accuVar];
    for (const part of [loop.accuInit, loop.loopCondition, loop.loopStep, loop.result]) this.visit(part, inner);
  }

  #reference({ root, path }: Chain): void {
    const [id, field, ...rest] = path;
    if (root === "input") this.references.push({ root: "input", name: "", path });
    else if (this.#items.includes(root)) this.references.push({ root: "item", name: root, path });
    else if (root !== "steps") this.fault = `\`${root}\` is not known: conditions see \`input\` and \`steps\``;
    else if (id !== undefined && field === "output") this.references.push({ root: "step", name: id, path: rest });
    else this.fault = "write `steps.ID.output`, with the name of a step";
  }
}

const LOOPS_MAX = 4;

interface Chain {
  readonly root: string;
  readonly path: readonly string[];
}

/** `a.b["c"][0]` as a root and a path; undefined for anything else. `has(a.b)` looks at `a` only. */
function chainOf(expr: Expr): Chain | undefined {
  const { exprKind } = expr;
  if (exprKind.case === "identExpr") return { root: exprKind.value.name, path: [] };
  if (exprKind.case === "selectExpr") {
    const { operand, field, testOnly } = exprKind.value;
    const chain = operand && chainOf(operand);
    return chain && (testOnly ? chain : { root: chain.root, path: [...chain.path, field] });
  }
  if (exprKind.case !== "callExpr" || exprKind.value.function !== "_[_]") return undefined;
  const [operand, index] = exprKind.value.args;
  const chain = operand && chainOf(operand);
  const key = index?.exprKind.case === "constExpr" ? index.exprKind.value.constantKind : undefined;
  if (!chain || (key?.case !== "stringValue" && key?.case !== "int64Value")) return undefined;
  return { root: chain.root, path: [...chain.path, String(key.value)] };
}
