/** The broker for git over SSH behind a real door, as a sandbox has it: for tests on one machine. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemClock as clock } from "../../lib/clock.ts";
import type { AuditEvent } from "../../mesh/audit/audit.ts";
import { Door } from "../../mesh/door/door.ts";
import { SshBroker } from "../../mesh/egress/brokers/ssh/broker.ts";
import type { RepositorySetting } from "../../mesh/egress/brokers/ssh/setting.ts";
import { doorInMemory, injectorOf } from "./door-services.ts";

const gitSsh = fileURLToPath(new URL("../../agent/init/git-ssh.ts", import.meta.url));

export interface RepositoryPlace {
  /** What the sandbox is given. */
  readonly environment: Readonly<Record<string, string>>;
  readonly socketPath: string;
  readonly records: AuditEvent[];
  readonly secrets: Map<string, string>;
  /** Halts the agent. */
  halt(): void;
  close(): Promise<void>;
}

export interface PlaceSettings {
  readonly stallMs?: number;
  readonly connectMs?: number;
  /** Those that the agent may use; absent = all. */
  readonly may?: readonly string[];
}

/** One agent, `a`; what the mesh would keep on disk is kept in memory. */
export async function startRepositoryPlace(
  repositories: readonly RepositorySetting[],
  given: Readonly<Record<string, string>>,
  { may, ...settings }: PlaceSettings = {},
): Promise<RepositoryPlace> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-repositories-"));
  const socketPath = join(folder, "door.sock");
  const secrets = new Map(Object.entries(given));
  const injector = injectorOf(secrets);
  const ssh = new SshBroker({ clock, injector, repositories, ...settings });
  const rights = { repositories: may ?? repositories.map(({ name }) => name) };
  const { services, records, halt } = doorInMemory({ ssh }, rights);
  const door = new Door(services, { agent: "a", sandbox: "sbx-a" });
  await door.listen(socketPath);
  // The sandbox's own program, at another door.
  const program = join(folder, "git-ssh.js");
  writeFileSync(
    program,
    `import { carry } from ${JSON.stringify(gitSsh)};
process.exit(await carry(${JSON.stringify(socketPath)}, process.argv.slice(2), process.env.GIT_PROTOCOL ?? null));\n`,
  );
  writeFileSync(join(folder, "package.json"), '{"type":"module"}');
  chmodSync(program, 0o644);
  return {
    environment: {
      GIT_SSH_COMMAND: `${process.execPath} --disable-warning=ExperimentalWarning ${program}`,
      GIT_SSH_VARIANT: "ssh",
    },
    ...{ socketPath, records, secrets, halt },
    close: async () => {
      await door.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** What the door says to who calls it like git's program and then keeps silent, up to its end. */
export async function callDoor({ socketPath }: RepositoryPlace, words: readonly string[]): Promise<string> {
  const socket = connect({ path: socketPath, allowHalfOpen: true });
  socket.write("GET /v1/repositories HTTP/1.1\r\nhost: door\r\nconnection: upgrade\r\nupgrade: git\r\n\r\n");
  socket.write(`${JSON.stringify({ words, protocol: null })}\n`);
  let seen = "";
  for await (const piece of socket as AsyncIterable<Buffer>) seen += piece.toString("latin1");
  return seen;
}
