// Who the process is to the kernel: what the walls around it are made of.
import { readFileSync, readlinkSync, readdirSync, fstatSync } from "node:fs";
import { hole, wall } from "./report.js";

const statusOf = (name) => {
  const line = readFileSync("/proc/self/status", "utf8")
    .split("\n")
    .find((each) => each.startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim() ?? "";
};

/** proc_pid_status(5), user_namespaces(7). */
function rootOutside() {
  const [inside, outside, size] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/).map(Number);
  const uid = process.getuid();
  const host = uid >= inside && uid < inside + size ? outside + uid - inside : uid;
  return host === 0 ? hole("uid 0 is the host's root") : wall(`uid ${uid} is ${host} outside`);
}

/** CVE-2024-21626 and its kind: a folder of the host that stayed open. */
function openDescriptors() {
  const found = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return fstatSync(Number(fd)).isDirectory() ? [readlinkSync(`/proc/self/fd/${fd}`)] : [];
    } catch {
      return [];
    }
  });
  const foreign = found.filter((path) => !path.startsWith("/proc/"));
  return foreign.length > 0 ? hole(foreign.join(", ")) : wall("no folder is open");
}

function becomeRoot() {
  if (process.getuid() === 0) return hole("it is root already");
  process.setuid(0);
  return hole("setuid(0) succeeded");
}

const limitOf = (name) => {
  const line = readFileSync("/proc/self/limits", "utf8")
    .split("\n")
    .find((each) => each.startsWith(name));
  return line?.slice(name.length).trim().split(/\s+/)[1] ?? "unlimited";
};

export function tryIdentity(report) {
  report("identity-root", rootOutside);
  report("identity-become-root", becomeRoot);
  report("identity-capabilities", () => {
    const sets = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].filter((name) => !/^0*$/.test(statusOf(name)));
    return sets.length > 0 ? hole(sets.map((name) => `${name} ${statusOf(name)}`).join(", ")) : wall("none are left");
  });
  report("identity-filter", () =>
    statusOf("Seccomp") === "2" ? wall("a filter is on") : hole("no system-call filter"),
  );
  report("identity-new-privileges", () =>
    statusOf("NoNewPrivs") === "1" ? wall("no new privileges") : hole("programs may give privileges"),
  );
  report("identity-descriptors", openDescriptors);
  report("identity-core-dump", () => {
    const bytes = limitOf("Max core file size");
    return bytes === "0" ? wall("limit 0") : hole(`up to ${bytes} bytes`);
  });
}
