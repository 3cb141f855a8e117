/** Every path of the host that a sandbox uses. All names are exact: nothing is ever looked up by prefix. */
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import { assert } from "../../lib/assert.ts";
import { type UserNamespace, userNamespace } from "./rootless/namespace.ts";
import { runtimeProfiles } from "./runtime-profile.ts";

/** Short, because the path of a Unix socket ends at 107 bytes. */
export const RUN_DIR = "/run/cordon";
const SOCKET_PATH_BYTES_MAX = 107;
export const DATA_GROUP_END = ".data";
/** The runtimes' own state stands beside the sandboxes, so no sandbox may have these names. */
export const runtimeFolders: readonly string[] = Object.values(runtimeProfiles).map((profile) => profile.stateFolder);

export interface Places {
  readonly installation: string;
  readonly installationDir: string;
  /** Claims of host id ranges; shared by all installations of a machine. */
  readonly idsDir: string;
  /** The first id of all ranges, and how many ranges there are. */
  readonly hostIdFirst: number;
  readonly hostIdRangesMax: number;
  readonly volumesDir: string;
  readonly cgroupParent: string;
  /** Where an ordinary user's mesh runs; null for root. */
  readonly namespace: UserNamespace | null;
}

export interface SandboxPlaces {
  /** The OCI bundle as well: `config.json` stands here. */
  readonly dir: string;
  readonly config: string;
  readonly pidFile: string;
  readonly log: string;
  readonly door: string;
  /** Where the runtime hands over the filter, for somebody to be told of what it refuses. */
  readonly denials: string;
  readonly rootfs: string;
  readonly data: string;
  readonly code: string;
  readonly cgroup: string;
  /** Of the program that serves /data where the kernel does not mount it itself. No sandbox can have its name. */
  readonly dataCgroup: string;
}

/** `installation`: 8 characters of `a-z0-9`, one value per state folder. */
export function placesOf(
  installation: string,
  stateDir: string,
  givenRunDir?: string,
  namespace: UserNamespace | null = userNamespace(),
): Places {
  assert(/^[a-z0-9]{8}$/.test(installation), "an installation id is 8 characters of a-z and 0-9");
  const runDir = givenRunDir ?? namespace?.runDir ?? RUN_DIR;
  const installationDir = join(runDir, installation);
  return {
    installation,
    installationDir,
    idsDir: join(runDir, "ids"),
    volumesDir: join(stateDir, "volumes"),
    cgroupParent: `${namespace?.cgroup ?? ""}/cordon-${installation}`,
    hostIdFirst: namespace?.hostIdFirst ?? limits.sandbox.hostIdFirst,
    hostIdRangesMax: namespace?.idRangesMax ?? limits.sandbox.hostIdRangesMax,
    namespace,
  };
}

export function sandboxPlacesOf(places: Places, id: string): SandboxPlaces {
  assert(isSandboxId(id), "a sandbox id was checked before its paths are made");
  const dir = join(places.installationDir, id);
  const door = join(dir, "door.sock");
  assert(Buffer.byteLength(door) <= SOCKET_PATH_BYTES_MAX, "the door's path fits a Unix socket address");
  return {
    dir,
    config: join(dir, "config.json"),
    pidFile: join(dir, "pid"),
    log: join(dir, "log"),
    door,
    denials: join(dir, "denials"),
    rootfs: join(dir, "rootfs"),
    data: join(dir, "data"),
    code: join(dir, "code"),
    cgroup: `${places.cgroupParent}/${id}`,
    dataCgroup: `${places.cgroupParent}/${id}${DATA_GROUP_END}`,
  };
}

export const isVolumeName = (name: string): boolean =>
  name.length <= limits.sandbox.idCharsMax && /^[a-z0-9_-]+$/.test(name);
export const isSandboxId = (id: string): boolean => isVolumeName(id) && !runtimeFolders.includes(id);
