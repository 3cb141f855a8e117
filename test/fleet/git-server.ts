/** An sshd and repositories as installed, in a temporary folder, on loopback: for tests of the broker. */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

const SSHD = "/usr/sbin/sshd";
/** False: none is installed. */
export const hasSshd = existsSync(SSHD) && existsSync("/usr/bin/ssh-keygen") && existsSync("/usr/bin/git");

export interface GitServer {
  readonly port: number;
  /** Of this machine's: whose keys are taken. */
  readonly user: string;
  readonly folder: string;
  /** A line of known_hosts, without the host. */
  readonly hostKey: string;
  readonly fingerprint: string;
  /** The private key that is taken, as its file. */
  readonly key: string;
  /** The same key under `passphrase`. */
  readonly lockedKey: string;
  /** One that is not taken. */
  readonly strangeKey: string;
  readonly passphrase: string;
  /** Of bare repositories, as the server is to be told. */
  path(name: string): string;
  git(name: string, ...words: readonly string[]): string;
  /** What sshd has written. */
  log(): string;
  stop(): Promise<void>;
}

export interface GitServerSettings {
  readonly keyType?: "ed25519" | "rsa";
  readonly lines?: readonly string[];
}

const keygen = (...words: readonly string[]): string =>
  execFileSync("ssh-keygen", [...words], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

/** `repositories` are made with one commit on `main`, and whatever may be fetched and pushed by the key's owner. */
export async function startGitServer(
  repositories: readonly string[],
  { keyType = "ed25519", lines = [] }: GitServerSettings = {},
): Promise<GitServer> {
  const folder = mkdtempSync(join(tmpdir(), "cordon-git-"));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const file = (name: string): string => join(folder, name);
    const passphrase = "canary-words";
    keygen("-q", "-t", "ed25519", "-N", "", "-f", file("host"));
    keygen("-q", "-t", keyType, ...(keyType === "rsa" ? ["-b", "2048"] : []), "-N", "", "-C", "", "-f", file("key"));
    writeFileSync(file("locked"), readFileSync(file("key")), { mode: 0o600 });
    keygen("-q", "-p", "-P", "", "-N", passphrase, "-a", "4", "-f", file("locked"));
    writeFileSync(file("authorized"), readFileSync(file("key.pub")));
    for (const name of repositories) makeRepository(folder, name);
    const port = await freePort();
    const settings = [
      ...[
        `Port ${port}`,
        "ListenAddress 127.0.0.1",
        `HostKey ${file("host")}`,
        `AuthorizedKeysFile ${file("authorized")}`,
      ],
      ...[`PidFile ${file("pid")}`, "PasswordAuthentication no", "KbdInteractiveAuthentication no", "UsePAM no"],
      ...["StrictModes no", "PermitRootLogin prohibit-password", "AcceptEnv GIT_PROTOCOL", "LogLevel VERBOSE"],
      ...["MaxStartups 100", "PerSourceMaxStartups none", "Subsystem sftp internal-sftp", ...lines],
    ];
    writeFileSync(file("config"), `${settings.join("\n")}\n`);
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const server = spawn(SSHD, ["-D", "-e", "-f", file("config")], { stdio: ["ignore", "ignore", "pipe"] });
    let log = "";
    server.stderr.on("data", (piece: Buffer) => (log += piece.toString()));
    const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
    // A test that fails before it stops it must not leave it behind.
    process.once("exit", () => void server.kill("SIGTERM"));
    for (let tries = 0; !log.includes("Server listening"); tries++) {
      if (tries > 300 || server.exitCode !== null) throw new Error(`sshd did not start: ${log}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const path = (name: string): string => join(folder, `${name}.git`).slice(1);
    return {
      ...{ port, folder, passphrase, user: userInfo().username },
      hostKey: readFileSync(file("host.pub"), "utf8").trim().split(" ").slice(0, 2).join(" "),
      fingerprint: keygen("-l", "-f", file("host.pub")).split(" ")[1] ?? "",
      key: readFileSync(file("key"), "utf8"),
      strangeKey: readFileSync(file("host"), "utf8"),
      lockedKey: readFileSync(file("locked"), "utf8"),
      path: (name) => `/${path(name)}`,
      git: (name, ...words) =>
        execFileSync("git", ["-C", `/${path(name)}`, ...words], { encoding: "utf8", env: ownGit }).trim(),
      log: () => log,
      stop: async () => {
        server.kill("SIGTERM");
        await ended;
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** The same names and times for every commit, and no configuration of this machine. */
const ownGit = {
  ...{ PATH: "/usr/bin:/bin", HOME: "/nonexistent", GIT_CONFIG_NOSYSTEM: "1" },
  ...{ GIT_AUTHOR_NAME: "a", GIT_AUTHOR_EMAIL: "a@test", GIT_COMMITTER_NAME: "a", GIT_COMMITTER_EMAIL: "a@test" },
};

function makeRepository(folder: string, name: string): void {
  const bare = join(folder, `${name}.git`);
  const work = join(folder, `${name}-work`);
  const git = (...words: readonly string[]): void =>
    void execFileSync("git", [...words], { stdio: "ignore", env: ownGit });
  git("init", "-q", "--bare", "-b", "main", bare);
  git("init", "-q", "-b", "main", work);
  writeFileSync(join(work, "README.md"), `this is ${name}\n`);
  git("-C", work, "add", ".");
  git("-C", work, "commit", "-q", "-m", "first");
  git("-C", work, "push", "-q", bare, "main");
  git("-C", bare, "config", "receive.advertisePushOptions", "true");
  // Hooks that write what they see would need a shell; permissions are those of the key's owner.
  chmodSync(bare, 0o755);
}
