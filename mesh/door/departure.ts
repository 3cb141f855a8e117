interface Listener {
  handleEvent(): void;
}

/** Whether somebody has gone: of a signal as much as is needed here, for a fraction of what one costs a call. */
export class Departure {
  aborted = false;
  #listeners: Listener[] | undefined;
  #controller: AbortController | undefined;

  /** For who needs a real one. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    // With a reason of its own: the standard one is an exception with a stack.
    if (this.aborted) this.#controller.abort("gone");
    return this.#controller.signal;
  }

  leave(): void {
    if (this.aborted) return;
    this.aborted = true;
    this.#controller?.abort("gone");
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners) for (const listener of listeners) listener.handleEvent();
  }

  addEventListener(_type: "abort", listener: Listener): void {
    if (this.#listeners) this.#listeners.push(listener);
    else this.#listeners = [listener];
  }

  removeEventListener(_type: "abort", listener: Listener): void {
    const at = this.#listeners?.indexOf(listener) ?? -1;
    if (at >= 0) this.#listeners?.splice(at, 1);
  }
}
