import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { limits } from "../../protocol/limits.ts";
import type { Log } from "../init/log.ts";
import { describeFault } from "../init/log.ts";
import { fieldsOf, tryJson } from "./read-refusal.ts";
import { newSession, type Session } from "./session.ts";

export interface Sessions {
  /** The session of this conversation, or a new one when there is none that can be read. */
  load(conversation: string): Session;
  save(session: Session): void;
}

/**
 * Keeps sessions as `<folder>/<conversation>.json`, replaced by rename, so that a crash leaves the old or the
 * new one. A volume that cannot be written costs memory across restarts, never the work itself.
 */
export function openSessions(folder: string, log: Log): Sessions {
  let warned = false;
  return {
    load(conversation) {
      const path = pathOf(folder, conversation);
      return (path !== undefined && read(path, conversation)) || newSession(conversation);
    },
    save(session) {
      const path = pathOf(folder, session.conversation);
      if (path === undefined) return;
      try {
        mkdirSync(folder, { recursive: true });
        writeFileSync(`${path}.new`, JSON.stringify(session));
        renameSync(`${path}.new`, path);
        forgetOldest(folder);
      } catch (fault) {
        if (!warned) log("warn", "session.not_saved", { fault: describeFault(fault) });
        warned = true;
      }
    },
  };
}

/** Only ids that are file names as they stand; the mesh gives out no other. */
function pathOf(folder: string, conversation: string): string | undefined {
  return /^[a-zA-Z0-9_-]{1,64}$/.test(conversation) ? join(folder, `${conversation}.json`) : undefined;
}

function read(path: string, conversation: string): Session | undefined {
  try {
    const found = fieldsOf(tryJson(readFileSync(path, "utf8")));
    if (found?.["version"] !== 1 || found["conversation"] !== conversation) return undefined;
    return Array.isArray(found["turns"]) ? (found as unknown as Session) : undefined;
  } catch {
    return undefined;
  }
}

function forgetOldest(folder: string): void {
  const names = readdirSync(folder);
  if (names.length <= limits.agent.sessionsMax) return;
  const byAge = names.map((name) => ({ name, at: statSync(join(folder, name)).mtimeMs })).sort((a, b) => a.at - b.at);
  for (const { name } of byAge.slice(0, names.length - limits.agent.sessionsMax))
    rmSync(join(folder, name), { force: true });
}
