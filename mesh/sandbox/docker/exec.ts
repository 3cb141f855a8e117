/** An operator's command inside a container, bounded in output and time. */
import { finished, pipeline } from "node:stream/promises";
import type { Clock } from "../../../lib/clock.ts";
import { signalProcess, startTimeOf } from "../proc.ts";
import type { Finished } from "../process.ts";
import { Exec, read } from "./answers.ts";
import type { DockerEngine } from "./engine.ts";
import { FrameReader } from "./frames.ts";
import { idOf } from "./image.ts";

export async function execIn(
  engine: DockerEngine,
  container: string,
  command: readonly string[],
  bounds: { readonly outputBytesMax: number; readonly timeoutMs: number; readonly clock: Clock },
): Promise<Finished> {
  const created = await engine.ask("POST", `/containers/${container}/exec`, {
    AttachStdout: true,
    AttachStderr: true,
    Cmd: command,
  });
  const id = idOf(created, "Id");
  const socket = await engine.stream(`/exec/${id}/start`, { Detach: false, Tty: false });
  const [stdout, stderr] = [bounded(bounds.outputBytesMax), bounded(bounds.outputBytesMax)];
  const frames = new FrameReader(stderr.take).on("data", stdout.take);
  const spoken = Promise.all([pipeline(socket, frames), finished(frames)]);
  const timer = new AbortController();
  let timedOut = false;
  bounds.clock.sleep(bounds.timeoutMs, timer.signal).then(
    async () => {
      timedOut = true;
      await endExec(engine, id).catch(() => undefined);
      socket.destroy();
    },
    () => undefined,
  );
  // What breaks off is not all that was said.
  const whole = await spoken.then(
    () => true,
    () => false,
  );
  timer.abort();
  const { ExitCode } = read(Exec, await engine.ask("GET", `/exec/${id}/json`));
  return {
    code: timedOut ? 124 : (ExitCode ?? 255),
    stdout: stdout.text(),
    stderr: stderr.text(),
    truncated: !whole || stdout.truncated() || stderr.truncated(),
  };
}

/**
 * The engine has no call for it; it tells the host pid. Under an application kernel that is the pid of the runtime's
 * client: there a command that was too slow lives on inside until its sandbox ends.
 */
async function endExec(engine: DockerEngine, id: string): Promise<void> {
  const { Pid } = read(Exec, await engine.ask("GET", `/exec/${id}/json`));
  const pid = Pid ?? 0;
  const startTime = pid <= 1 ? null : startTimeOf(pid);
  if (startTime !== null) signalProcess(pid, startTime, "SIGKILL");
}

function bounded(bytesMax: number) {
  const chunks: Buffer[] = [];
  let [bytes, cut] = [0, false];
  return {
    take: (chunk: Buffer): void => {
      const room = bytesMax - bytes;
      if (chunk.length > room) cut = true;
      if (room > 0) chunks.push(chunk.subarray(0, room));
      bytes += Math.min(room, chunk.length);
    },
    text: () => Buffer.concat(chunks).toString("utf8"),
    truncated: () => cut,
  };
}
