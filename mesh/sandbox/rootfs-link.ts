/**
 * The agent zone as one file: forty modules, looked up and compiled one by one, take a third of the start of an agent.
 * Each module becomes a function that runs once, when it is first asked for, so that what an agent does not need stays
 * source text. Knows the forms of import and export that this tree uses, and refuses every other.
 */
import { stripTypeScriptTypes } from "node:module";
import { posix } from "node:path";
import { SandboxError } from "./backend.ts";

const IMPORT = /^import\s*\{([^{}]*)\}\s*from\s*"([^"\n]+)";?/gm;
const DYNAMIC = /(?<![\w$.])import\("([^"\n]+)"\)/g;
const EXPORT = /^export\s+(async\s+function|function|const|class)\s+([\w$]+)/gm;
const EMPTY_EXPORT = /^export\s*\{\s*\};?/gm;
/** Whatever is left of either is a form that nothing above has understood. */
const LEFT = /^(?:import|export)\b[^\n]{0,80}/m;

interface Module {
  /** Statements that take what it imports, before its own. */
  readonly body: string;
  readonly exports: readonly string[];
}

/** The module `entry` with all that it reaches, in place of it. Throws SandboxError for a form that it does not know. */
export function linkModules(files: ReadonlyMap<string, string>, entry: string): string {
  return linked(files, entry, "import");
}

/** What the parameter of a linked script is called. */
const IMPORT_NAME = "$import";

/**
 * The same as a script of one expression: a function that runs the entry when it is called, with what `import()` is where it is
 * called from. In ASCII, which V8 keeps and reads as it stands.
 */
export function linkScript(files: ReadonlyMap<string, string>, entry: string): string {
  const whole = `(async (${IMPORT_NAME}) => { "use strict";\n${linked(files, entry, IMPORT_NAME)}})\n`;
  // The same in every string, template and regular expression; in a comment nobody minds.
  return whole.replaceAll(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function linked(files: ReadonlyMap<string, string>, entry: string, importName: string): string {
  const linker = new Linker(files, posix.dirname(entry), importName);
  const { body } = linker.module(entry);
  return `const $once = (make) => { let made; return () => (made ??= make()); };\n${linker.done.join("\n")}\n${body}\n`;
}

class Linker {
  readonly #files: ReadonlyMap<string, string>;
  /** Folder of the file that is made. */
  readonly #folder: string;
  readonly #importName: string;
  readonly #names = new Map<string, string>();
  /** A function for each module, those that others need first. */
  readonly done: string[] = [];

  constructor(files: ReadonlyMap<string, string>, folder: string, importName: string) {
    this.#files = files;
    this.#folder = folder;
    this.#importName = importName;
  }

  module(path: string): Module {
    const source = this.#files.get(path);
    if (source === undefined) throw new SandboxError(`\`${path}\` is not in the agent image`, "import a file of it");
    const taken: string[] = [];
    const exported: string[] = [];
    const own = source
      .replaceAll(IMPORT, (_, names: string, from: string) => {
        taken.push(`const {${names.replaceAll(/\bas\b/g, ":")}} = ${this.#taken(path, from)};`);
        return "";
      })
      .replaceAll(DYNAMIC, (text: string, from: string) =>
        from.startsWith("node:") ? text : this.#later(posix.join(posix.dirname(path), from)),
      )
      .replaceAll(EXPORT, (_, kind: string, name: string) => {
        exported.push(name);
        return `${kind} ${name}`;
      })
      .replaceAll(EMPTY_EXPORT, "");
    const left = LEFT.exec(own)?.[0];
    if (left !== undefined) {
      const known = "`import { … } from`, `import()` and `export` of a constant, function or class";
      throw new SandboxError(`\`${path}\` cannot be linked: \`${left}\``, `use ${known}`);
    }
    return { body: `${taken.join("\n")}\n${own}`, exports: exported };
  }

  #taken(path: string, from: string): string {
    if (from.startsWith("node:")) return `process.getBuiltinModule(${JSON.stringify(from)})`;
    return `${this.#nameOf(posix.join(posix.dirname(path), from))}()`;
  }

  /** A module that awaits as it is loaded, or needs one that does, stays a file of its own. */
  #later(target: string): string {
    const [names, length] = [new Map(this.#names), this.done.length];
    try {
      return `Promise.resolve(${this.#nameOf(target)}())`;
    } catch (error) {
      if (!(error instanceof AwaitsAsItIsLoaded)) throw error;
      this.#names.clear();
      for (const [path, name] of names) this.#names.set(path, name);
      this.done.length = length;
      return `${this.#importName}("./${posix.relative(this.#folder, target)}")`;
    }
  }

  #nameOf(path: string): string {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    const name = `$m${this.#names.size}`;
    this.#names.set(path, name);
    const { body, exports } = this.module(path);
    const make = `() => {\n${body}\nreturn { ${exports.join(", ")} };\n}`;
    if (!isFunction(make)) throw new AwaitsAsItIsLoaded(path);
    this.done.push(`const ${name} = $once(${make});`);
    return name;
  }
}

class AwaitsAsItIsLoaded extends SandboxError {
  constructor(path: string) {
    super(`\`${path}\` cannot be a function: it awaits as it is loaded`, "import it with `import()` only");
  }
}

/** The parser that has taken the types away says whether it is one. */
function isFunction(make: string): boolean {
  try {
    return stripTypeScriptTypes(`const made = ${make};`, { mode: "strip" }) !== "";
  } catch {
    return false;
  }
}
