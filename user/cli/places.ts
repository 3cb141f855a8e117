import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Context, Input } from "./command.ts";
import { Failure } from "./failure.ts";

export interface Places {
  readonly fleetFile: string;
  readonly state: string;
}

/** Longest path of a Unix socket on Linux (`sun_path` of unix(7) less its NUL) and on macOS, the smaller one. */
const SOCKET_PATH_BYTES_MAX = 103;

/** Which fleet and which state a command is about; absolute paths. Nothing has to exist. */
export function placesOf(input: Input, context: Pick<Context, "cwd">): Places {
  const fleetFile = resolve(context.cwd, input.text("fleet") ?? "cordon.yaml");
  const given = input.text("state");
  const state = given === undefined ? join(dirname(fleetFile), ".cordon") : resolve(context.cwd, given);
  if (Buffer.byteLength(join(state, "desk.sock")) > SOCKET_PATH_BYTES_MAX) {
    throw new Failure(
      `the path of the state folder is too long for a socket: \`${state}\``,
      "give a shorter one with `--state`",
    );
  }
  return { fleetFile, state };
}

export function requireFleetFile(places: Places): void {
  if (existsSync(places.fleetFile)) return;
  throw new Failure(
    `there is no fleet file at \`${places.fleetFile}\``,
    "write one with `cordon init`, or name yours with `--fleet FILE`",
  );
}
