/**
 * A user has the operator bring a process of his into his group; it ends just then, and its number is that of a process of root's.
 * The script is the real one, in a mount namespace with the hierarchy of version 2 alone; only the controllers are not asked for,
 * which a machine that limits by version 1 has there.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const folder = mkdtempSync(join(tmpdir(), "cordon-number-"));
after(() => rmSync(folder, { recursive: true }));
const at = (name: string): string => join(folder, name);

const CONTROLLERS = "for controller in memory cpu pids; do";
const GROUP = "/sys/fs/cgroup/cordon-user-65534";

/** Starts a process of `nobody`'s; told to, ends it and starts one of root's with its number: clone3 with `set_tid`. */
const EXCHANGE = `
  use strict; use POSIX (); $| = 1;
  my ($asked, $done) = @ARGV;
  my $his = fork; if ($his == 0) { POSIX::setgid(65534); POSIX::setuid(65534); exec "sleep", "600" }
  select undef, undef, undef, 0.01 until readlink("/proc/$his/exe") =~ m{/sleep|/coreutils|/busybox};
  print "$his\\n";
  open my $word, "<", $asked; my $what = <$word>;
  if ($what =~ /exchange/) {
    kill KILL => $his; waitpid $his, 0;
    my $number = pack "l", $his;
    my $roots = syscall 435, pack("Q11", 0, 0, 0, 0, 17, 0, 0, 0, unpack("Q", pack("P", $number)), 1, 0), 88;
    if ($roots == 0) { exec "sleep", "600" }
    $roots == $his or die "no process with number $his: $!";
  }
  open my $said, ">", $done; print $said "done\\n"; close $said;
  open $word, "<", $asked; <$word>;
  kill KILL => $his; waitpid $his, 0;
`;

/** What stands before the script's own programs: the exchange comes when it first gives a file away. */
const CHOWN = `#!/bin/sh
[ -e "$HERE/exchanged" ] || { : >"$HERE/exchanged"; echo "$WHAT" >"$HERE/asked"; read -r _ <"$HERE/done"; }
PATH=/usr/bin:/bin exec chown "$@"
`;
/** And who could move a process out of there while it is looked at. */
const TR = `#!/bin/sh
[ ! -e "$HERE/exchanged" ] || stat -c %u ${GROUP} ${GROUP}/cgroup.procs ${GROUP}/mesh ${GROUP}/mesh/cgroup.procs >>"$HERE/owners"
PATH=/usr/bin:/bin exec tr "$@"
`;
const DRIVER = `set -e
mount -t cgroup2 none /sys/fs/cgroup
sh "$HERE/script" nobody
set +e
PATH=$HERE/bin:$PATH sh "$HERE/script" nobody "$1"
echo "exit code $?"
cut -d : -f 3 "/proc/$1/cgroup" | tail -n 1
stat -c %u ${GROUP} ${GROUP}/mesh ${GROUP}/mesh/cgroup.procs ${GROUP}/mesh/cgroup.kill
sh "$HERE/script" --undo nobody
`;

async function brought(what: "exchange" | "leave"): Promise<string[]> {
  rmSync(at("exchanged"), { force: true });
  const exchange = spawn("perl", ["-e", EXCHANGE, at("asked"), at("done")], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [pid] = (await once(exchange.stdout, "data")) as [Buffer];
    const run = ["-m", "sh", "-c", DRIVER, "driver", String(pid).trim()];
    const env = { ...process.env, HERE: folder, WHAT: what };
    const said = execFileSync("unshare", run, { env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
    return said.trim().split("\n");
  } finally {
    writeFileSync(at("asked"), "end\n");
    await once(exchange, "close");
  }
}

test("a process that has got the number of a user's own is not left in his group, and never was in his hands", async () => {
  const script = readFileSync(new URL("../../../scripts/allow-rootless.sh", import.meta.url), "utf8");
  assert.ok(script.includes(CONTROLLERS));
  writeFileSync(at("script"), script.replace(CONTROLLERS, "for controller in; do"));
  execFileSync("mkdir", [at("bin")]);
  writeFileSync(at("bin/chown"), CHOWN, { mode: 0o755 });
  writeFileSync(at("bin/tr"), TR, { mode: 0o755 });
  execFileSync("mkfifo", [at("asked"), at("done")]);

  const own = ["65534", "65534", "65534", "0"];
  assert.deepEqual(await brought("leave"), ["exit code 0", "/cordon-user-65534/mesh", ...own]);
  assert.deepEqual(await brought("exchange"), ["exit code 1", "/", ...own]);
  const owners = readFileSync(at("owners"), "utf8").trim().split("\n");
  assert.ok(owners.length >= 16);
  assert.deepEqual([...new Set(owners)], ["0"]);
});
