import { z } from "zod";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { readHostKey } from "../egress/brokers/ssh/host-key.ts";
import { isRefGlob, REFS_OF_WRITE } from "../egress/brokers/ssh/ref-name.ts";
import { isPath, isSamePlace } from "../egress/brokers/ssh/request.ts";
import type { HostKeyPin, PushRule, RepositorySetting } from "../egress/brokers/ssh/setting.ts";
import { isAddress } from "../egress/web/address.ts";
import { readHost } from "../egress/web/authority.ts";
import { textOr } from "./fields.ts";
import type { Path } from "./source.ts";

/** The form of `repositories` and `may.repositories`, and their meaning. */

const HostKey = z.string().min(1).max(2_048);

const RepositoryForm = z.strictObject({
  /** As git takes it: `USER@HOST:PATH` or `ssh://USER@HOST[:PORT]/PATH`. */
  to: z.string().min(1).max(limits.web.ruleCharsMax),
  address: z
    .string()
    .refine((text) => isAddress(text), "must be an IP address")
    .optional(),
  /** A fingerprint (`SHA256:…`) or a line of known_hosts; several where the server has several. */
  host_key: textOr(HostKey, z.array(HostKey).min(1).max(limits.git.hostKeysMax)),
  key: Name,
  passphrase: Name.optional(),
  write: z.boolean().optional(),
  push: z
    .strictObject({
      refs: z.array(z.string().max(512)).min(1).max(limits.git.refGlobsMax).optional(),
      delete: z.boolean().optional(),
      force: z.boolean().optional(),
    })
    .optional(),
});

export const RepositoriesForm = z
  .record(Name, RepositoryForm)
  .refine((forms) => Object.keys(forms).length <= limits.git.repositoriesMax, "must name fewer repositories");
export const MayRepositories = z.array(Name).max(limits.git.repositoriesMax);

type Fault = (at: Path, message: string, fix: string) => void;
type Form = z.infer<typeof RepositoryForm>;
const PORT_OF_SSH = 22;
const USER = String.raw`([A-Za-z0-9_][A-Za-z0-9._-]{0,63})`;
const HOST = String.raw`(\[[^\]]*\]|[^:/@]+)`;
/** The two spellings of a repository that git itself takes (git-clone(1)). */
const URL_FORM = new RegExp(`^ssh://${USER}@${HOST}(?::([1-9][0-9]{0,4}))?(/.+)$`);
const SHORT_FORM = new RegExp(`^${USER}@${HOST}:([^/].*)$`);

interface Place {
  readonly user: string;
  readonly host: string;
  readonly literal: boolean;
  readonly port: number;
  readonly path: string;
}

/** Null: it is none. What git says to a server of `ssh://HOST/~/x` is `~/x`. */
function readPlace(text: string): Place | null {
  const [, shortUser = "", shortHost = "", shortPath = ""] = SHORT_FORM.exec(text) ?? [];
  const [, user = shortUser, name = shortHost, digits = String(PORT_OF_SSH), path = shortPath] =
    URL_FORM.exec(text) ?? [];
  const host = readHost(name);
  const said = path.startsWith("/~") ? path.slice(1) : path;
  const port = Number(digits);
  return host.ok && port <= 65_535 && isPath(said) ? { user, ...host.value, port, path: said } : null;
}

export function repositoriesOf(forms: z.infer<typeof RepositoriesForm>, fault: Fault): readonly RepositorySetting[] {
  return Object.entries(forms).flatMap(([name, form]) => {
    const at: Path = ["repositories", name];
    const place = readPlace(form.to);
    if (!place) {
      fault([...at, "to"], `\`${form.to}\` is not a repository`, "write `git@HOST:PATH` or `ssh://git@HOST:PORT/PATH`");
      return [];
    }
    const { literal, ...where } = place;
    return [
      {
        ...{ name, ...where, key: form.key, passphrase: form.passphrase ?? null },
        address: form.address ?? (literal ? place.host : null),
        hostKeys: hostKeysOf([...at, "host_key"], form, place, fault),
        push: pushOf(at, form, fault),
      },
    ];
  });
}

function hostKeysOf(
  at: Path,
  form: Form,
  place: Parameters<typeof readHostKey>[1],
  fault: Fault,
): readonly HostKeyPin[] {
  const texts = typeof form.host_key === "string" ? [form.host_key] : form.host_key;
  return texts.flatMap((text) => {
    const read = readHostKey(text, place);
    if (read.ok) return [read.value];
    const fix = `ask who runs the server for it; \`ssh-keyscan ${place.host}\` shows what answers there now`;
    fault(at, `the host key is not taken: ${read.error}`, fix);
    return [];
  });
}

function pushOf(at: Path, { write, push }: Form, fault: Fault): PushRule | null {
  if (push && write !== true) fault([...at, "push"], "`push` is set and nothing may be written", "add `write: true`");
  for (const glob of push?.refs ?? [])
    if (!isRefGlob(glob))
      fault([...at, "push", "refs"], `\`${glob}\` is not a pattern of refs`, "write for example `refs/heads/agent/**`");
  if (write !== true) return null;
  return { refs: push?.refs ?? REFS_OF_WRITE, mayDelete: push?.delete ?? false, mayForce: push?.force ?? false };
}

/** Every repository that an agent may use is one of the file, and a place that it names means one of them. */
export function mayRepositories(
  at: Path,
  names: readonly string[] | undefined,
  known: readonly RepositorySetting[],
  fault: Fault,
): { readonly repositories?: readonly string[] } {
  const found: RepositorySetting[] = [];
  names?.forEach((name, index) => {
    const setting = known.find((each) => each.name === name);
    const same = setting && found.find((each) => each !== setting && isSamePlace(each, setting));
    if (!setting) fault([...at, index], `no repository \`${name}\``, "declare it under `repositories`");
    else if (same)
      fault([...at, index], `\`${name}\` is at the same place as \`${same.name}\``, "remove one of the two");
    else found.push(setting);
  });
  return names ? { repositories: names } : {};
}
