/**
 * What the mesh says to the program that git takes for `ssh` in a sandbox: a type of one byte, a length of four (big
 * endian), the bytes. Imports nothing, so that the agent image carries no schema library.
 */
export const gitFrames = {
  /** For standard output. */
  out: 1,
  /** For standard error. */
  error: 2,
  /** One byte: the code to end with. Nothing follows. */
  exit: 3,
} as const;
