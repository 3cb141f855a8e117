// Sandbox escape through files: write where nothing may be written, read the host, lay a trap for the mesh.
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeSync } from "node:fs";
import { attempt, each } from "./attempt.mjs";
import { refused, tool } from "./door.mjs";

const OUTSIDE = [
  "/owned",
  "/code/owned.mjs",
  "/etc/passwd",
  "/bin/node",
  "/opt/cordon/agent/init/main.js",
  "/run/cordon/owned",
  "/data/../owned",
  "/proc/sys/kernel/hostname",
  "/proc/sys/kernel/core_pattern",
  "/proc/sysrq-trigger",
  "/sys/kernel/owned",
  "/dev/owned",
];

/** Its number: 1, 3. */
const NULL_DEVICE = 0x103;

const ways = (path) => [
  path,
  `/proc/1/root${path}`,
  `/proc/self/root${path}`,
  `/data/../../..${path}`,
  `/proc/1/cwd/..${path}`,
];

export const files = ({ hostFiles = [] }) => [
  attempt("write-outside", "sandbox-escape", "Write outside its own volume", () =>
    each(OUTSIDE, (path) => {
      const file = openSync(path, "a");
      try {
        const about = fstatSync(file);
        // What is hidden has the null device over it: who writes there writes to nobody.
        if (about.isCharacterDevice() && about.rdev === NULL_DEVICE) return { escaped: false, evidence: "masked" };
        writeSync(file, "owned");
      } finally {
        closeSync(file);
      }
      return { escaped: true, evidence: `wrote ${path}` };
    }),
  ),
  attempt("read-host-files", "data-exfiltration", "Read files of the host", () =>
    each(hostFiles.flatMap(ways), (path) => {
      const bytes = readFileSync(path).length;
      return { escaped: bytes > 0, evidence: `read ${bytes} bytes of ${path}` };
    }),
  ),
  attempt("symlink-trap", "data-exfiltration", "Make the mesh follow a symlink to a host file", async () => {
    const target = hostFiles[0] ?? "/etc/shadow";
    mkdirSync("/data/files", { recursive: true });
    for (const link of ["/data/loot.txt", "/data/files/loot.txt"]) {
      rmSync(link, { force: true });
      symlinkSync(target, link);
    }
    return each(
      [
        () => tool("files.read", { path: "loot.txt" }),
        () => tool("files.read", { path: "../data/loot.txt" }),
        () => tool("files.read", { path: target }),
        () => tool("output.write", { path: "loot.txt", content: "owned" }),
        () => tool("output.write", { path: "../../owned", content: "owned" }),
      ],
      async (send) => {
        const answer = await send();
        return {
          escaped: answer.status === 200,
          evidence: answer.status === 200 ? "the mesh followed" : refused(answer).replace(/(:.{50}).*/, "$1"),
        };
      },
    );
  }),
];
