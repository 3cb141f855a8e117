/** What is read of the engine's answers, and in what form: an answer of any other is no answer. Engines write null for what is empty. */
import { isIP } from "node:net";
import { z } from "zod";
import { SandboxError } from "../backend.ts";

/** Of containers and networks. It becomes a part of paths. */
const Id = z.string().regex(/^[0-9a-f]{64}$/);
const VolumeName = z.string().regex(/^[a-zA-Z0-9][\w.-]{0,254}$/);
const labelled = { Labels: z.record(z.string(), z.string()).nullish() };

/** Of `GET /info`, what is looked at here. */
export const EngineInfo = z.object({
  OSType: z.string().nullish(),
  OperatingSystem: z.string().nullish(),
  Runtimes: z.record(z.string(), z.unknown()).nullish(),
  SecurityOptions: z.array(z.string()).nullish(),
  MemoryLimit: z.boolean().nullish(),
  SwapLimit: z.boolean().nullish(),
  PidsLimit: z.boolean().nullish(),
  CpuCfsQuota: z.boolean().nullish(),
});
export type EngineInfo = z.infer<typeof EngineInfo>;

/** Containers or networks. */
export const Listed = z.array(z.object({ Id, ...labelled }));
export const Volumes = z.object({ Volumes: z.array(z.object({ Name: VolumeName, ...labelled })).nullish() });
export const Network = z.object({
  IPAM: z.object({ Config: z.array(z.object({ Gateway: z.string().refine((text) => isIP(text) !== 0) })).min(1) }),
});
export const Container = z.object({
  State: z.object({ Running: z.boolean(), Pid: z.int().min(0), ExitCode: z.int() }),
});
/** Null while it runs. */
export const Exec = z.object({ ExitCode: z.int().nullish(), Pid: z.int().min(0).nullish() });

/** Throws SandboxError. */
export function read<T>(form: z.ZodType<T>, answer: unknown): T {
  const read = form.safeParse(answer);
  if (read.success) return read.data;
  const at = read.error.issues[0]?.path.map(String).join(".").slice(0, 100);
  const where = at === undefined || at === "" ? "" : ` at \`${at}\``;
  throw new SandboxError(`docker answered in a form that is not known${where}`, "update the docker engine");
}
