/** The refused calls of one sandbox as events of it. */
import type { SandboxEvent } from "./backend.ts";
import type { DeniedCall, DenialListener } from "./denials.ts";

interface Told {
  emit(event: SandboxEvent): void;
}

export class SandboxDenials implements DenialListener {
  #sandbox: Told | null = null;
  /** Bounded by the watcher. */
  readonly #held: SandboxEvent[] = [];

  denied(call: DeniedCall): void {
    this.#tell({ type: "syscall_denied", ...call });
  }

  unwatched(): void {
    this.#tell({ type: "syscalls_unwatched" });
  }

  /** From the next turn on: before, nobody can have asked the sandbox for its events. */
  tellAs(sandbox: Told): void {
    setImmediate(() => {
      this.#sandbox = sandbox;
      for (const event of this.#held.splice(0)) sandbox.emit(event);
    });
  }

  #tell(event: SandboxEvent): void {
    if (this.#sandbox === null) this.#held.push(event);
    else this.#sandbox.emit(event);
  }
}
