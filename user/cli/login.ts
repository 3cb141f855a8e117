import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Context, Input } from "./command.ts";
import { openDesk, type Desk } from "./desk-client.ts";
import { Failure, type ExitCode } from "./failure.ts";
import { limits } from "../../protocol/limits.ts";
import { placesOf } from "./places.ts";

const POLL_MS = 1_000;

/** `cordon credential login NAME`: in a browser (RFC 8252, loopback redirect) or with a code on any device (RFC 8628). */
export async function login(input: Input, context: Context): Promise<ExitCode> {
  const name = input.words[1] ?? "";
  const desk = await openDesk(placesOf(input, context).state);
  const before = await versionOf(desk, name);
  const arrival = await redirectListener();
  try {
    const started = await desk.login(name, arrival.redirectUri);
    if (started.kind === "browser") {
      context.terminal.print(`open this address in a browser on this machine:\n\n  ${started.url}\n`);
      context.terminal.live("waiting for the browser …");
      const code = await within(arrival.code(started.state), context);
      await desk.finishLogin(started.state, code);
    } else {
      context.terminal.print(`open ${started.url} on any device and enter the code ${started.code}`);
      context.terminal.live("waiting for the code to be entered …");
      await within(untilNewer(desk, name, before, context), context);
    }
  } finally {
    arrival.close();
    context.terminal.settle();
  }
  context.terminal.print(`\`${name}\` is logged in; the mesh keeps it fresh from now on`);
  return 0;
}

const versionOf = async (desk: Desk, name: string): Promise<number> =>
  (await desk.credentials()).credentials.find((each) => each.name === name)?.version ?? 0;

async function untilNewer(desk: Desk, name: string, version: number, { clock }: Context): Promise<void> {
  while ((await versionOf(desk, name)) <= version) await clock.sleep(POLL_MS);
}

async function within<T>(waiting: Promise<T>, context: Context): Promise<T> {
  const stop = new AbortController();
  const late = context.clock
    .sleep(limits.source.loginMs, AbortSignal.any([stop.signal, context.interruption()]))
    .then(() => {
      throw new Failure("nobody has logged in within ten minutes", "run the command again");
    });
  late.catch(() => undefined);
  return Promise.race([waiting, late]).finally(() => stop.abort());
}

interface Arrival {
  readonly redirectUri: string;
  /** The code that comes with `state`; rejects with what the server said instead. */
  code(state: string): Promise<string>;
  close(): void;
}

/** Waits on a loopback port of the system's choice for the browser to come back. */
async function redirectListener(): Promise<Arrival> {
  const { promise, resolve, reject } = Promise.withResolvers<{ readonly state: string; readonly code: string }>();
  promise.catch(() => undefined);
  const server = createServer({ maxHeaderSize: limits.door.headerBytesMax }, (request, response) => {
    const query = answered(request, response);
    if (!query) return;
    const [code, error] = [query.get("code"), query.get("error")];
    if (code !== null) resolve({ state: query.get("state") ?? "", code });
    else
      reject(
        new Failure(
          `the log-in was refused: \`${(error ?? "no code").replace(/[^a-z_ ]/g, "")}\``,
          "try again, and allow it",
        ),
      );
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const { port } = server.address() as AddressInfo;
  return {
    redirectUri: `http://127.0.0.1:${port}/callback`,
    code: async (state) => {
      const came = await promise;
      // Somebody else's page could send the browser here with a code of its own (RFC 6749 §10.12).
      if (came.state !== state) throw new Failure("the answer belongs to another log-in", "run the command again");
      return came.code;
    },
    close: () => void server.close().closeAllConnections(),
  };
}

function answered(request: IncomingMessage, response: ServerResponse): URLSearchParams | undefined {
  const url = URL.parse(request.url ?? "", "http://127.0.0.1");
  const known = request.method === "GET" && url?.pathname === "/callback";
  response.writeHead(known ? 200 : 404, {
    "content-type": "text/plain; charset=utf-8",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    connection: "close",
  });
  response.end(known ? "Cordon has taken it. You can close this page.\n" : "not found\n");
  return known ? url.searchParams : undefined;
}
