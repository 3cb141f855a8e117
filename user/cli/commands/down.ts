import { stateOptions, type Command } from "../command.ts";
import { openDesk } from "../desk-client.ts";
import { Failure } from "../failure.ts";
import { forgetPid, meshIsGone } from "../mesh-presence.ts";
import { placesOf } from "../places.ts";

const GONE_TIMEOUT_MS = 30_000;
/** A thousand sandboxes are taken apart a few at a time. */
const GONE_TIMEOUT_MS_EACH = 250;
const POLL_MS = 100;

export const down: Command = {
  name: "down",
  summary: "stop every agent, then the mesh; what they have done stays",
  usage: "[--state DIR]",
  options: { ...stateOptions },
  words: [0, 0],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const desk = await openDesk(state);
    context.terminal.live("stopping …");
    const { agents } = await desk.status();
    await desk.shutdown();
    const deadline = context.clock.monotonicMs() + GONE_TIMEOUT_MS + agents.length * GONE_TIMEOUT_MS_EACH;
    while (!(await meshIsGone(state))) {
      if (context.clock.monotonicMs() > deadline) {
        throw new Failure(
          "the mesh said it would stop but is still there",
          "see `mesh.log` in the state folder; end its process if need be",
        );
      }
      await context.clock.sleep(POLL_MS);
    }
    await forgetPid(state);
    context.terminal.print("stopped");
    return 0;
  },
};
