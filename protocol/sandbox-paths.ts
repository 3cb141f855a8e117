/** Where things stand inside every sandbox. Imports nothing, so that the agent image carries no schema library. */
export const sandboxPaths = {
  door: "/run/cordon/door.sock",
  /** Read-only: what the fleet file's `code` names. */
  code: "/code",
  /** The agent's own volume; survives restarts. */
  data: "/data",
  /** Read-only: node, and the agent zone of Cordon compiled to JavaScript. */
  node: "/bin/node",
  init: "/opt/cordon/agent/init/main.cjs",
  /** What git takes for `ssh`. */
  gitSsh: "/opt/cordon/agent/init/git-ssh.js",
  /** What a relay container runs, which no sandbox has use for. */
  doorRelay: "/opt/cordon/agent/relay/main.js",
} as const;

/** Where our runtime stands in a root file system that is not ours: it has libraries of its own there. */
export const guestRuntime = {
  loader: "/opt/cordon/runtime/loader",
  libraries: "/opt/cordon/runtime/lib",
  node: "/opt/cordon/runtime/node",
} as const;

/** The relay's address on the sandbox's own loopback. */
export const relay = { host: "127.0.0.1", port: 7070 } as const;

/** Where databases are found on it: the port that clients of PostgreSQL go to by themselves. */
export const databaseRelay = { host: "127.0.0.1", port: 5432 } as const;
