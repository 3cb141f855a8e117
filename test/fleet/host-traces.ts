/** What sandboxes of one installation leave on the host, found from outside the mesh. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const RUN_DIR = "/run/cordon";

/** One thing on the host, as `kind id`; empty where a thing has no id of its own. */
export interface Trace {
  readonly kind: "run folder" | "claim" | "cgroup" | "process" | "mount" | "loop device";
  readonly id: string;
  readonly where: string;
}

/** Everything that bears the name of `installation`, or whose file is below `state`. Nothing of others is looked at. */
export function tracesOf(installation: string, state: string): Trace[] {
  return [
    ...runFolders(installation),
    ...claims(installation),
    ...cgroups(installation),
    ...processes(installation),
    ...mounts(installation),
    ...loopDevices(state),
  ];
}

const listed = (folder: string): string[] => {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
};

const text = (file: string): string => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
};

/** The runtime's own state stands in a folder beside the sandboxes. */
function runFolders(installation: string): Trace[] {
  const base = join(RUN_DIR, installation);
  const found = [...listed(base).filter((id) => id !== "runtime"), ...listed(join(base, "runtime"))];
  return found.map((id) => ({ kind: "run folder", id, where: base }));
}

function claims(installation: string): Trace[] {
  const base = join(RUN_DIR, "ids");
  return listed(base).flatMap((name) => {
    const [owner, id = ""] = text(join(base, name)).split("/");
    return owner === installation ? [{ kind: "claim" as const, id, where: join(base, name) }] : [];
  });
}

function cgroups(installation: string): Trace[] {
  const hierarchies = ["/sys/fs/cgroup", ...listed("/sys/fs/cgroup").map((name) => join("/sys/fs/cgroup", name))];
  return hierarchies.flatMap((base) => {
    const parent = join(base, `cordon-${installation}`);
    const ids = listed(parent).filter((name) => listed(join(parent, name)).length > 0);
    return ids.map((id) => ({ kind: "cgroup" as const, id, where: parent }));
  });
}

function processes(installation: string): Trace[] {
  return listed("/proc").flatMap((pid) => {
    // One that has ended and waits for the system's own init to read its exit code runs no more.
    const running = /^\d+$/.test(pid) && !/^State:\s+[ZX]/m.test(text(`/proc/${pid}/status`));
    const line = running ? text(`/proc/${pid}/cgroup`) : "";
    const id = new RegExp(`/cordon-${installation}/([^/\\s]+)`).exec(line)?.[1];
    return id === undefined ? [] : [{ kind: "process" as const, id, where: pid }];
  });
}

function mounts(installation: string): Trace[] {
  const below = `${join(RUN_DIR, installation)}/`;
  return text("/proc/self/mounts")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "")
    .filter((point) => point.startsWith(below))
    .map((point) => ({ kind: "mount", id: point.slice(below.length).split("/")[0] ?? "", where: point }));
}

function loopDevices(state: string): Trace[] {
  return listed("/sys/block").flatMap((name) => {
    const file = text(`/sys/block/${name}/loop/backing_file`).trimEnd();
    return file.startsWith(`${state}/`) ? [{ kind: "loop device" as const, id: file, where: name }] : [];
  });
}
