import { parseJson } from "../../lib/json.ts";
import { openDesk, type Desk } from "./desk-client.ts";
import { NoMesh } from "./desk-transport.ts";
import { Failure } from "./failure.ts";
import { meshFailure, runMesh, type Inherited } from "./mesh-process.ts";
import type { Surroundings } from "./surroundings.ts";

/** Asks the desk, or, when no mesh is running on the state, `offline`, which reads the state itself. */
export async function askDeskOr<T>(
  state: string,
  online: (desk: Desk) => Promise<T>,
  offline: () => Promise<T>,
): Promise<T> {
  try {
    return await online(await openDesk(state));
  } catch (error) {
    if (error instanceof NoMesh) return offline();
    throw error;
  }
}

/**
 * The JSON document that a command of the mesh prints. Exit codes in `answers` are answers (`verify` and
 * `doctor` say no with 1); if there is no document, the mesh's error is the failure.
 */
export async function meshJson<T>(
  host: Pick<Surroundings, "meshProgram" | "cwd" | "environment">,
  args: readonly string[],
  answers: readonly number[],
  inherited?: Inherited,
): Promise<T> {
  const { code, stdout, stderr } = await runMesh(host, args, undefined, inherited);
  const parsed = parseJson(Buffer.from(stdout.trim()), 64);
  if (answers.includes(code) && parsed.ok) return parsed.value as T;
  if (code !== 0) throw meshFailure(stderr, code);
  throw new Failure(`\`mesh ${args[0]}\` printed something that is not JSON`, "run `cordon doctor`");
}
