/**
 * PID 1 of every sandbox: carries the loopback relay, then runs the command it was given, or, without one,
 * the built-in agent in this same process.
 */
import { writeSync } from "node:fs";
import { systemClock } from "../../lib/clock.ts";
import { randomId } from "../../lib/id.ts";
import { limits } from "../../protocol/limits.ts";
import { relay, sandboxPaths } from "../../protocol/sandbox-paths.ts";
import { guestEnvironment, ownEnvironment } from "./environment.ts";
import { describeFault, jsonLog, type Log } from "./log.ts";
import { startRelay } from "./relay.ts";

const STDOUT = 1;
const log = jsonLog(systemClock, (line) => {
  try {
    writeSync(STDOUT, line);
  } catch {
    // Nobody reads any more: losing the line is better than ending the agent.
  }
});

async function main(command: readonly string[]): Promise<number> {
  // Each way is loaded only when it is taken: what is not loaded takes no memory in any sandbox.
  if (command.length > 0) {
    await relayFor(log);
    const [{ runGuest }, { webEnvironment }] = await Promise.all([import("./guest.ts"), import("./web-access.ts")]);
    const web = await webEnvironment(sandboxPaths.door, log);
    const { openDatabases } = await import("./database-access.ts");
    const databases = await openDatabases(sandboxPaths.door, log);
    const { repositoryEnvironment } = await import("./repository-access.ts");
    const more = { ...web, ...databases.environment, ...(await repositoryEnvironment(sandboxPaths.door, log)) };
    return runGuest({ command, environment: guestEnvironment(ownEnvironment(), more), log });
  }
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stop.abort());
  const { runLoop } = await import("../loop/loop.ts");
  const loop = runLoop({
    doorSocket: sandboxPaths.door,
    dataFolder: sandboxPaths.data,
    clock: systemClock,
    id: randomId,
    log,
    signal: stop.signal,
  });
  // Only what is started beside the agent uses it: it must not take from the time of a message that waits.
  const relayed = systemClock.sleep(limits.agent.relayDelayMs, stop.signal).then(
    () => relayFor(log),
    () => undefined,
  );
  await Promise.all([loop, relayed]);
  log("info", "loop.stopped");
  return 0;
}

/** The built-in agent goes to the door by itself, so it works without a relay, too. */
async function relayFor(logTo: Log): Promise<void> {
  try {
    await startRelay({
      ...relay,
      doorSocket: sandboxPaths.door,
      connectionsMax: limits.agent.relayConnectionsMax,
      idleMs: limits.agent.relayIdleMs,
      log: logTo,
    });
  } catch (fault) {
    logTo("error", "relay.not_started", { fault: describeFault(fault) });
  }
}

process.exitCode = 1;
process.on("uncaughtException", (fault) => {
  log("error", "init.crashed", { fault: describeFault(fault), stack: fault.stack ?? "" });
  process.exit(1);
});
process.exit(await main(process.argv.slice(2)));
