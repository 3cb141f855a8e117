/** The only reader of the process environment in the mesh. What is read at every start holds no secret. */
export interface Surroundings {
  /** Search path for the container runtime and mount tools; the sbin folders are added, as sudo and cron omit them. */
  readonly path: readonly string[];
}

/** For a credential whose source is the environment: an operator's own choice, told as a weak one. */
export const environmentValue = (name: string): string | undefined => process.env[name];

export function readSurroundings(): Surroundings {
  const path = (process.env["PATH"] ?? "").split(":").filter((folder) => folder.startsWith("/"));
  return { path: [...new Set([...path, "/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"])] };
}

/** `CORDON_HTTP1=node`: a way out, should the mesh's own HTTP/1.1 leg be at fault; slower, and as safe. */
export const readsByNode = (): boolean => environmentValue("CORDON_HTTP1") === "node";
