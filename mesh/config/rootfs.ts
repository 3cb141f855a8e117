import { z } from "zod";
import { limits } from "../../protocol/limits.ts";
import type { RootfsRequest } from "../sandbox/rootfs-guest.ts";
import type { Path } from "./source.ts";

/** The keys of `sandbox` that say what an agent stands on, and their meaning. */

const PackageName = z
  .string()
  .max(128)
  .regex(/^[a-z0-9][a-z0-9+.-]+$/, "must be the name of a Debian package, for example `python3`");
const Folder = z.string().min(1).max(512);

export const rootfsKeys = {
  /** Debian packages. */
  packages: z.array(PackageName).min(1).max(limits.rootfs.packagesMax).optional(),
  /** A folder with an OCI image layout, or `docker:NAME@sha256:HEX` of the machine's engine. */
  image: Folder.optional(),
  /** A folder that is a root file system. */
  rootfs: Folder.optional(),
};

type Form = { readonly [key in keyof typeof rootfsKeys]?: z.infer<(typeof rootfsKeys)[key]> };

/** The agent's own keys stand in for those of `defaults`; two at once are a fault. */
export function readRootfs(
  own: readonly [at: Path, form: Form | undefined],
  defaults: readonly [at: Path, form: Form | undefined],
  folder: (at: Path, value: string) => string | null,
  fault: (at: Path, message: string, fix: string) => void,
): RootfsRequest | undefined {
  const [at, form] = given(own[1]).length > 0 ? own : defaults;
  const [first, second] = given(form);
  if (first === undefined) return undefined;
  if (second !== undefined)
    fault(
      [...at, second],
      `an agent stands on one root file system, not on \`${first}\` and \`${second}\``,
      `remove one`,
    );
  if (first === "packages") return { kind: "packages", names: form?.packages ?? [] };
  const image = first === "image" ? form?.image : undefined;
  if (image?.startsWith(ENGINE)) {
    const digest = PINNED.exec(image.slice(ENGINE.length))?.[1];
    if (digest !== undefined) return { kind: "engine", digest };
    const fix = `pin it: \`docker image inspect --format '{{.Id}}' NAME\` prints the digest for \`docker:NAME@sha256:…\``;
    fault([...at, first], `\`${image}\` names no image for good`, fix);
    return undefined;
  }
  const found = folder([...at, first], form?.[first] ?? "");
  return found === null ? undefined : { kind: first === "image" ? "image" : "folder", folder: found };
}

const ENGINE = "docker:";
/** The name is for people: what is run is what the digest says. */
const PINNED = /^(?:[a-zA-Z0-9][\w./:-]{0,254}@)?(sha256:[0-9a-f]{64})$/;

const given = (form: Form | undefined): readonly (keyof typeof rootfsKeys)[] =>
  (["packages", "image", "rootfs"] as const).filter((key) => form?.[key] !== undefined);
