/** What an ordinary user's sandboxes need, and what an operator has to give for each: once, by the command that is named. */
import { access, constants, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { limits } from "../../../protocol/limits.ts";
import type { Isolation, Shortfall } from "../backend.ts";
import { type Cgroups, readCgroups } from "../cgroup.ts";
import { readMounts } from "../mounts.ts";
import { SYSTEM_PATH } from "../process.ts";
import { CONTROLLERS_OF_TWO, type Delegated, delegatedOf, operatorsGroupOf, ownGroupOfTwo } from "./given-group.ts";
import { nameOf, type UserNamespace, userNamespace } from "./namespace.ts";

const script = fileURLToPath(new URL("../../../scripts/allow-rootless.sh", import.meta.url));
const PROGRAMS: Readonly<Record<string, string>> = {
  ...{ newuidmap: "uidmap", newgidmap: "uidmap", fuse2fs: "fuse2fs" },
  ...{ unshare: "util-linux", prlimit: "util-linux", setpriv: "util-linux" },
};
/** Where Debian's and Ubuntu's kernels can take from user namespaces what they are for; read as a number. */
const SWITCHES: Readonly<Record<string, (value: number) => boolean>> = {
  "user.max_user_namespaces": (value) => value > 0,
  "kernel.unprivileged_userns_clone": (value) => value === 1,
  "kernel.apparmor_restrict_unprivileged_userns": (value) => value === 0,
};

/** For a user who is not root and not in his namespace; `userId` as the machine knows him. */
export async function missingFor(userId: number): Promise<readonly Shortfall[]> {
  const groups = await Promise.all([
    programs(),
    idsOf(userId),
    fuse(),
    switches(),
    groupsOf(await readCgroups(), userId),
  ]);
  const found = groups.flat();
  if (found.length > 0) return found;
  return [
    {
      what: "this process builds no sandboxes: it is outside the user namespace of its user",
      remedy: "start it as `cordon up`, `cordon demo`, `cordon doctor` or `cordon assault`",
    },
  ];
}

/** For the mesh inside. */
export async function missingInside(
  namespace: UserNamespace,
  cgroups: Cgroups | null,
  isolation: Isolation,
): Promise<readonly Shortfall[]> {
  const found = [...(await programs()), ...(await fuse()), ...(await groupsOf(cgroups, namespace.userId))];
  if (!namespace.entered) {
    const what = "this user namespace was not made by Cordon: its mounts and processes may outlive the mesh";
    found.push({ what, remedy: "run `cordon` as root of the machine itself, or as an ordinary user" });
  }
  if (namespace.idRangesMax < 1) {
    const what = "the user namespace has too few ids to give each sandbox its own";
    found.push({ what, remedy: idsRemedy(namespace.user) });
  }
  if (isolation === "gvisor") {
    const what = "isolation `gvisor` is not built for an ordinary user: its fence is not proved in a user namespace";
    found.push({ what, remedy: "run `sudo cordon`, or set `isolation: container`" });
  }
  return found;
}

async function programs(): Promise<Shortfall[]> {
  const found: Shortfall[] = [];
  for (const [name, from] of Object.entries(PROGRAMS)) {
    const places = SYSTEM_PATH.split(":").map((folder) => access(join(folder, name), constants.X_OK));
    const there = await Promise.any(places).then(
      () => true,
      () => false,
    );
    if (!there) found.push({ what: `\`${name}\` is missing`, remedy: `run \`sudo apt-get install -y ${from}\`` });
  }
  return found;
}

async function idsOf(userId: number): Promise<Shortfall[]> {
  const user = nameOf(userId);
  const found: Shortfall[] = [];
  for (const file of ["/etc/subuid", "/etc/subgid"]) {
    const lines = (await readFile(file, "utf8").catch(() => "")).split("\n").map((line) => line.split(":"));
    const enough = lines.some(
      ([owner, , count]) =>
        (owner === user || owner === String(userId)) && Number(count) >= 2 * limits.sandbox.hostIdsPerSandbox,
    );
    if (!enough) found.push({ what: `\`${file}\` has no ids for \`${user}\``, remedy: idsRemedy(user) });
  }
  return found;
}

/** An example: which ids are free is the operator's to know. */
const idsRemedy = (user: string): string =>
  `run \`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ${user}\` (ids that nobody else has)`;

async function fuse(): Promise<Shortfall[]> {
  try {
    await (await open("/dev/fuse", "r+")).close();
    return [];
  } catch {
    const remedy = "run `sudo modprobe fuse && sudo chmod 666 /dev/fuse`; in a container, pass the device in";
    return [{ what: "`/dev/fuse` cannot be opened, which /data is served by", remedy }];
  }
}

async function switches(): Promise<Shortfall[]> {
  const found: Shortfall[] = [];
  for (const [name, right] of Object.entries(SWITCHES)) {
    const value = await readFile(`/proc/sys/${name.replaceAll(".", "/")}`, "latin1").catch(() => null);
    if (value === null || right(Number(value))) continue;
    const wanted = [15_000, 1, 0].find(right) ?? 1;
    found.push({
      what: `\`${name}\` keeps user namespaces from ordinary users`,
      remedy: `run \`sudo sysctl ${name}=${wanted}\``,
    });
  }
  return found;
}

async function groupsOf(cgroups: Cgroups | null, userId: number): Promise<Shortfall[]> {
  if (cgroups === null) return [];
  const files = cgroups.version === 2 ? ["cgroup.procs", "cgroup.subtree_control"] : ["cgroup.procs"];
  const given = cgroups.version === 2 ? delegatedOf(ownGroupOfTwo(), userId) : null;
  if (cgroups.version === 2 && given === null) return [await notDelegated(userId)];
  const lacking: string[] = [];
  for (const { type, root, point, superOptions } of await readMounts()) {
    // The runtime asks for a group in every hierarchy; one of a name of its own limits nothing.
    if (type !== (given === null ? "cgroup" : "cgroup2") || root !== "/") continue;
    if (superOptions.some((option) => option.startsWith("name="))) continue;
    const folder = join(point, given?.path ?? operatorsGroupOf(userId));
    const writable = [folder, ...files.map((file) => join(folder, file))].map((path) => access(path, constants.W_OK));
    await Promise.all(writable).catch(() => lacking.push(folder));
  }
  if (lacking.length === 0) return given === null ? [] : handedOn(given, userId);
  const what = `\`${nameOf(userId)}\` has no control group of its own to hold limits with: ${lacking.join(", ")}`;
  return [{ what, remedy: given === null ? scriptFor(userId, "(after every boot)") : scriptWithShell(userId) }];
}

const scriptFor = (userId: number, when: string): string => `run \`sudo sh ${script} ${nameOf(userId)}\` ${when}`;

/** Version 2: only root brings a process into the group from elsewhere. */
const scriptWithShell = (userId: number): string =>
  `run \`sudo sh ${script} ${nameOf(userId)} $$\` in the shell that starts Cordon (after every boot, in each such shell)`;

/** Version 2, in a group that is the machine's or that systemd alone may write. */
async function notDelegated(userId: number): Promise<Shortfall> {
  const user = nameOf(userId);
  const there = (path: string): Promise<boolean> =>
    access(path).then(
      () => true,
      () => false,
    );
  const what = `\`${user}\` has no control group of its own to hold limits with: this process is in \`${ownGroupOfTwo()}\``;
  if (!(await there("/run/systemd/system"))) return { what, remedy: scriptWithShell(userId) };
  if (!(await there(`/run/user/${userId}/systemd/private`)))
    return { what, remedy: `run \`sudo loginctl enable-linger ${user}\`, which starts systemd's manager of that user` };
  const asked = "systemd-run --user --scope --property=Delegate=yes true";
  return { what, remedy: `mend what \`${asked}\` complains of: systemd's manager of \`${user}\` gave no group` };
}

/** What it is to limit with, it must have; inside, it hands all of it on. */
async function handedOn({ path, by }: Delegated, userId: number): Promise<Shortfall[]> {
  const file = userNamespace() === null ? "cgroup.controllers" : "cgroup.subtree_control";
  const text = await readFile(join("/sys/fs/cgroup", path, file), "latin1").catch(() => "");
  const missing = CONTROLLERS_OF_TWO.filter((name) => !text.trim().split(" ").includes(name));
  if (missing.length === 0) return [];
  const what = `the control group of \`${nameOf(userId)}\` has no ${missing.join(", no ")}: \`${path}\``;
  return [{ what, remedy: by === "operator" ? scriptWithShell(userId) : delegateAll(userId) }];
}

/** systemd gives its users' managers memory and pids; since version 252 cpu, too. */
const delegateAll = (userId: number): string => {
  const folder = "/etc/systemd/system/user@.service.d";
  const text = "[Service]\\nDelegate=cpu cpuset io memory pids\\n";
  const written = `sudo mkdir -p ${folder} && printf '${text}' | sudo tee ${folder}/delegate.conf`;
  return `run \`${written} && sudo systemctl daemon-reload && sudo systemctl restart user@${userId}\` (it ends what runs there)`;
};
