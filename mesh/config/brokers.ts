import { z } from "zod";
import { limits } from "../../protocol/limits.ts";
import { Name } from "../../protocol/names.ts";
import { readHost } from "../egress/web/authority.ts";
import { isAddress, notPublic } from "../egress/web/address.ts";
import type { DatabaseSetting } from "../egress/brokers/postgres/setting.ts";
import type { Path } from "./source.ts";

/** The form of `databases` and `may.databases`, and their meaning. */

const Identifier = z.string().regex(/^[A-Za-z_][A-Za-z0-9_$-]{0,62}$/, "must be a name of 63 characters or less");

const DatabaseForm = z.strictObject({
  /** `HOST[:PORT]`. */
  to: z.string().min(1).max(limits.web.ruleCharsMax),
  address: z
    .string()
    .refine((text) => isAddress(text), "must be an IP address")
    .optional(),
  database: Identifier,
  role: Identifier,
  credential: Name,
  read_only: z.boolean().optional(),
  tls: z.enum(["verify-full", "off"]).optional(),
  ca: z.string().min(1).max(512).optional(),
  auth: z.enum(["scram", "md5"]).optional(),
});

export const DatabasesForm = z
  .record(Name, DatabaseForm)
  .refine((forms) => Object.keys(forms).length <= limits.postgres.databasesMax, "must name fewer databases");
export const MayDatabases = z.array(Name).max(limits.postgres.databasesMax);

type Fault = (at: Path, message: string, fix: string) => void;
const PORT_OF_POSTGRES = 5_432;

/** `certificates` gives those of a file, or null when it has told the fault. */
export function databasesOf(
  forms: z.infer<typeof DatabasesForm>,
  certificates: (at: Path, path: string | undefined) => string | null,
  fault: Fault,
): readonly DatabaseSetting[] {
  return Object.entries(forms).flatMap(([name, form]) => {
    const at: Path = ["databases", name];
    const [, text = "", digits = String(PORT_OF_POSTGRES)] =
      /^(\[[^\]]*\]|[^:]*)(?::([1-9][0-9]{0,4}))?$/.exec(form.to) ?? [];
    const host = readHost(text);
    if (!host.ok || Number(digits) > 65_535) {
      fault([...at, "to"], `\`${form.to}\` is not a place`, "write `HOST` or `HOST:PORT`");
      return [];
    }
    const address = form.address ?? (host.value.literal ? host.value.host : null);
    const tls = form.tls ?? "verify-full";
    if (tls === "off" && !notPublic(address ?? "")?.startsWith("loopback"))
      fault(
        [...at, "tls"],
        "without TLS all that is asked and answered travels in clear text",
        "remove `tls: off`, which is for a server on the mesh host: `address: 127.0.0.1`",
      );
    if (tls === "off" && form.ca !== undefined)
      fault([...at, "ca"], "`ca` is set and not used", "remove `ca`, or `tls: off`");
    return [
      {
        ...{ name, address, tls, host: host.value.host, port: Number(digits) },
        ...{ database: form.database, role: form.role, credential: form.credential },
        readOnly: form.read_only ?? false,
        auth: form.auth ?? "scram",
        ca: certificates([...at, "ca"], form.ca),
      },
    ];
  });
}

/** Every database that an agent may use is one of the file. */
export function mayDatabases(
  at: Path,
  names: readonly string[] | undefined,
  known: readonly string[],
  fault: Fault,
): { readonly databases?: readonly string[] } {
  names?.forEach((name, index) => {
    if (!known.includes(name)) fault([...at, index], `no database \`${name}\``, "declare it under `databases`");
  });
  return names ? { databases: names } : {};
}
