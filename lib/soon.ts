/** A value that is there, or that comes: a promise is made only where something is waited for. */
export type Soon<T> = T | Promise<T>;

/** Goes on at once where nothing is to be waited for. */
export const afterwards = <T, U>(value: Soon<T>, use: (value: T) => Soon<U>): Soon<U> =>
  value instanceof Promise ? value.then(use) : use(value);
