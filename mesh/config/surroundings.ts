/** The only reader of the process environment in the mesh. Nothing here may be a secret. */
export interface Surroundings {
  /** Search path for the container runtime and mount tools; the sbin folders are added, as sudo and cron omit them. */
  readonly path: readonly string[];
}

export function readSurroundings(): Surroundings {
  const path = (process.env["PATH"] ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return { path: [...new Set([...path, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])] };
}
