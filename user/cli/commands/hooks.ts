import { forwardToDesk } from "../../channels/webhooks/forward.ts";
import { WebhookListener } from "../../channels/webhooks/listener.ts";
import { stateOptions, type Command } from "../command.ts";
import { codeOf, Failure } from "../failure.ts";
import { placesOf } from "../places.ts";

export const hooks: Command = {
  name: "hooks",
  summary: "listen for webhooks and pass them to the running fleet",
  usage: "[--listen HOST:PORT] [--state DIR]",
  options: {
    listen: { value: "HOST:PORT", help: "where to listen (default: 127.0.0.1:8787); port 0 chooses one" },
    ...stateOptions,
  },
  words: [0, 0],
  notes: ["Puts no TLS in front of itself: let a reverse proxy do that, and limit what reaches it."],
  async run(input, context) {
    const { state } = placesOf(input, context);
    const [host, port] = addressOf(input.text("listen") ?? "127.0.0.1:8787");
    const signal = context.interruption();
    const listener = new WebhookListener(await forwardToDesk(state), context.clock);
    let bound: number;
    try {
      bound = await listener.listen(host, port);
    } catch (error) {
      throw new Failure(
        `cannot listen on ${host}:${port}: ${codeOf(error)}`,
        "choose another with `--listen HOST:PORT`",
      );
    }
    context.terminal.print(`listening on http://${host.includes(":") ? `[${host}]` : host}:${bound}/hooks/NAME`);
    await new Promise<void>((end) => {
      if (signal.aborted) end();
      signal.addEventListener("abort", () => end(), { once: true });
    });
    await listener.close();
    return 0;
  },
};

function addressOf(text: string): readonly [host: string, port: number] {
  const match = /^(\[[0-9a-f:]{2,45}\]|[a-z0-9.-]{1,253}):(\d{1,5})$/i.exec(text);
  if (!match || Number(match[2]) > 65_535)
    throw new Failure(`\`--listen ${text.slice(0, 80)}\` is not HOST:PORT`, "use for example 127.0.0.1:8787");
  return [(match[1] ?? "").replace(/^\[|\]$/g, ""), Number(match[2])];
}
