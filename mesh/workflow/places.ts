import type { Fault, Path, Source } from "../config/source.ts";
import type { Finding } from "./definition.ts";

/** One file and its findings: every one with its place and its remedy. */
export class Places {
  readonly findings: Finding[] = [];
  readonly file: string;
  readonly #source: Source;

  constructor(file: string, source: Source) {
    this.file = file;
    this.#source = source;
  }

  /** At the value of `path`, or at the nearest thing that would hold it; with `key`, at that key of the mapping there. */
  error(rule: string, path: Path, message: string, fix: string, key?: string): void {
    this.add("error", rule, this.#source.at(path, message, fix, key));
  }

  warning(rule: string, path: Path, message: string, fix: string): void {
    this.add("warning", rule, this.#source.at(path, message, fix));
  }

  note(rule: string, path: Path, message: string, fix: string): void {
    this.add("note", rule, this.#source.at(path, message, fix));
  }

  add(severity: Finding["severity"], rule: string, { line, column, message, fix }: Fault): void {
    if (this.findings.length < FINDINGS_MAX)
      this.findings.push({ severity, rule, file: this.file, line, column, message, fix });
  }
}

/** Of one file; nobody mends more at once, and each costs a search for its place. */
const FINDINGS_MAX = 200;
