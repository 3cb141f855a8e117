/** A broken invariant: the program, not its input, is wrong. Ends the smallest zone that it broke. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new InvariantError(invariant);
}

/** Marks a branch that the types prove impossible; data that disproves them fails closed here. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable value of type ${typeof value}`);
}
