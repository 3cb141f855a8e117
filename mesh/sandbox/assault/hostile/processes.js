import { readFileSync, readdirSync } from "node:fs";
import { every, hole, wall } from "./report.js";

const pids = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));

/** Field 22 of proc_pid_stat(5): a pid with the same start time is the same process. */
const startTime = (pid) => {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
};

const holding = (file, marker) =>
  pids().find((pid) => {
    try {
      return pid !== String(process.pid) && readFileSync(`/proc/${pid}/${file}`, "latin1").includes(marker);
    } catch {
      return false;
    }
  });

export function tryProcesses(report, { host, siblingMarker }) {
  report("process-host-visible", () =>
    startTime(host.pid) === host.startTime ? hole(`process ${host.pid} of the host is here`) : wall("another process"),
  );
  report("process-host-signal", () => {
    if (startTime(host.pid) !== host.startTime) return wall("another process");
    process.kill(host.pid, 0);
    return hole(`process ${host.pid} of the host can be signalled`);
  });
  report("process-sibling", () =>
    every(["cmdline", "environ"], (file) => {
      const pid = holding(file, siblingMarker);
      return pid === undefined ? wall("only its own processes") : hole(`process ${pid} of the sibling is here`);
    }),
  );
  report("process-first-root", () =>
    // What PID 1 sees as its root must be what this process sees.
    every(readdirSync("/proc/1/root"), (name) =>
      readdirSync("/").includes(name) ? wall("the same root") : hole(`\`/${name}\` is in the root of process 1`),
    ),
  );
}
