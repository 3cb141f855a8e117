/** Exit codes of every command: 0 done, 1 refused or failed, 2 wrong usage. */
export type ExitCode = 0 | 1 | 2;

/** An expected failure: what went wrong and the one thing to do about it. Both lower case, no full stop. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly fix: string;
  readonly exitCode: ExitCode;
  constructor(message: string, fix: string, exitCode: ExitCode = 1, options?: ErrorOptions) {
    super(message, options);
    this.fix = fix;
    this.exitCode = exitCode;
  }
}

export const usageFailure = (message: string, fix: string): Failure => new Failure(message, fix, 2);

/** The system's own code of an error (`ENOENT` …), or empty. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
