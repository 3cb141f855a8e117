import type { DockerEngine } from "./engine.ts";

const ANSWER_MS = 5_000;

/** Of `GET /info`, what is looked at here. */
export interface EngineInfo {
  readonly OSType?: string;
  readonly OperatingSystem?: string;
  readonly Runtimes?: Readonly<Record<string, unknown>>;
  readonly SecurityOptions?: readonly string[];
  readonly MemoryLimit?: boolean;
  readonly SwapLimit?: boolean;
  readonly PidsLimit?: boolean;
  readonly CpuCfsQuota?: boolean;
}

/** Throws SandboxError when the engine does not answer. */
export const engineInfo = async (engine: DockerEngine): Promise<EngineInfo> =>
  (await engine.ask("GET", "/info", undefined, ANSWER_MS)) as EngineInfo;
