import { EngineInfo, read } from "./answers.ts";
import type { DockerEngine } from "./engine.ts";

const ANSWER_MS = 5_000;

/** Throws SandboxError when the engine does not answer. */
export const engineInfo = async (engine: DockerEngine): Promise<EngineInfo> =>
  read(EngineInfo, await engine.ask("GET", "/info", undefined, ANSWER_MS));
