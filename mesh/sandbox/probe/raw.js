import { spawnSync } from "node:child_process";
import fs from "node:fs";
import { program, rawCalls } from "./elf.js";
import { allowedCalls, forbiddenCalls, forThisMachine, REFUSED } from "./raw-calls.js";

const run = (path, bytes) => {
  fs.writeFileSync(path, bytes, { mode: 0o755 });
  return spawnSync(path, { timeout: 5000 });
};

export async function tryRawCalls(report, leftOut) {
  const calls = { ...allowedCalls, ...forbiddenCalls };
  const names = Object.keys(calls);
  const { stdout } = run("/data/raw", rawCalls(Object.values(calls).map(forThisMachine)));
  const whole = stdout?.length === names.length * 8;
  names.forEach((name, i) => {
    const result = whole ? Number(stdout.readBigInt64LE(i * 8)) : 0;
    if (name in allowedCalls) report(`control: call ${name}`, !(result > 0), result);
    else
      report(
        `call ${name}`,
        whole && (-result) in REFUSED,
        whole ? (REFUSED[-result] ?? `result ${result}`) : "the program did not finish",
      );
  });
  otherArchitectures(report, leftOut);
}

/** The same numbers mean other calls in the 32-bit tables, so reaching them at all is a hole. */
function otherArchitectures(report, leftOut) {
  if (process.arch !== "x64") return;
  // mov eax, 20 (getpid of i386); int 0x80; then exit(0) of x86-64.
  const i386 = Buffer.from("b814000000cd80b83c00000031ff0f05", "hex");
  // mov eax, 0x40000027 (getpid of x32); syscall; exit(0).
  const x32 = Buffer.from("b8270000400f05b83c00000031ff0f05", "hex");
  for (const [name, code] of Object.entries({ i386, x32 })) {
    if (leftOut.has(`calls of ${name}`)) continue;
    const { signal, status } = run(`/data/${name}`, program(62, code));
    report(`calls of ${name}`, signal === "SIGSYS" || signal === "SIGSEGV", signal ?? `status ${status}`);
  }
}
