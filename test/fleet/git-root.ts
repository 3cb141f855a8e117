/** A root file system with this machine's git and shell, and nothing else. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, realpathSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";

/** Fills `root`, a new folder. */
export function makeGitRoot(root: string): void {
  const copy = (from: string, to = from): void => {
    mkdirSync(dirname(join(root, to)), { recursive: true });
    if (!existsSync(join(root, to))) copyFileSync(realpathSync(from), join(root, to));
  };
  for (const [from, to] of [
    ["/usr/bin/git", "/bin/git"],
    ["/bin/sh", "/bin/sh"],
  ] as const) {
    copy(from, to);
    const listed = execFileSync("ldd", [realpathSync(from)], { encoding: "utf8" });
    for (const [library] of listed.matchAll(/\/\S+\.so\S*/g)) copy(library);
  }
  for (const folder of ["tmp", "data", "proc", "sys", "dev", "run", "etc", "usr/share/git-core/templates"])
    mkdirSync(join(root, folder), { recursive: true });
  // Git looks for its own commands where it was built to be.
  mkdirSync(join(root, "usr/lib/git-core"), { recursive: true });
  symlinkSync("/bin/git", join(root, "usr/lib/git-core/git"));
}
