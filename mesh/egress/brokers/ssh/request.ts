import { err, ok, type Result } from "../../../../lib/result.ts";
import type { GitOpening } from "../../../../protocol/door.ts";
import { refusal, type Refusal } from "../../../../protocol/refusal.ts";
import { readHost } from "../../web/authority.ts";
import type { GitService, RepositorySetting } from "./setting.ts";

/** What a client wants: git's own way of calling `ssh`, and nothing else that `ssh` can do. */
export interface GitRequest {
  readonly service: GitService;
  /** Null: none is named. */
  readonly user: string | null;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  /** For `GIT_PROTOCOL`; null = not set. */
  readonly protocol: string | null;
}

const USER = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/;
/** Nothing that a shell, or a server that reads paths in its own way, could take for more than a name. */
const PATH = /^[A-Za-z0-9._~+@/-]{1,512}$/;
const PROTOCOL = /^version=[012]$/;
const SERVICES: readonly GitService[] = ["git-upload-pack", "git-receive-pack"];

/** What options of ssh(1) would do, for those that are asked for most. */
const NAMED: Readonly<Record<string, string>> = {
  ...{ "-A": "forwarding of an agent", "-X": "forwarding of X11", "-Y": "forwarding of X11", "-s": "a subsystem" },
  ...{ "-L": "forwarding of a port", "-R": "forwarding of a port", "-D": "forwarding of ports", "-W": "forwarding" },
  ...{
    "-t": "a terminal",
    "-N": "a connection without a command",
    "-M": "sharing of a connection",
    "-J": "a jump host",
  },
  ...{ "-i": "a key of one's own", "-F": "a configuration of one's own", "-w": "a tunnel" },
};

const FIX = "use `git clone`, `git fetch` or `git push` with a repository of `repositories`";
const no = (reason: string): Result<never, Refusal> => err(refusal("denied", reason, FIX));

/** Reads the words that git calls `ssh` with (git's connect.c; ssh(1)). */
export function readRequest({ words, protocol }: GitOpening): Result<GitRequest, Refusal> {
  let port = 22;
  let at = 0;
  for (; words[at]?.startsWith("-"); at++) {
    const word = words[at] ?? "";
    if (word === "-4" || word === "-6") continue;
    const value = words[at + 1] ?? "";
    if (word === "-o" && value !== "SendEnv=GIT_PROTOCOL") return no(`the option \`-o ${shown(value)}\` is not taken`);
    if (word === "-p" && !(/^[1-9][0-9]{0,4}$/.test(value) && Number(value) <= 65_535))
      return no(`\`${shown(value)}\` is not a port`);
    if (word !== "-o" && word !== "-p") {
      const what = NAMED[word.slice(0, 2)];
      return no(what === undefined ? `the option \`${shown(word)}\` is not taken` : `${what} is not carried`);
    }
    if (word === "-p") port = Number(value);
    at++;
  }
  const [place = "", command, ...more] = words.slice(at);
  if (command === undefined) return no("a shell is not carried");
  if (more.length > 0) return no("a command of several words is not carried");
  if (protocol !== null && !PROTOCOL.test(protocol)) return no(`\`GIT_PROTOCOL=${shown(protocol)}\` is not passed on`);
  const named = readPlace(place);
  if (!named.ok) return named;
  const asked = readCommand(command);
  return asked.ok ? ok({ ...named.value, ...asked.value, port, protocol }) : asked;
}

function readPlace(text: string): Result<Pick<GitRequest, "user" | "host">, Refusal> {
  const sign = text.lastIndexOf("@");
  const user = sign < 0 ? null : text.slice(0, sign);
  const name = text.slice(sign + 1);
  const host = readHost(name.includes(":") && !name.startsWith("[") ? `[${name}]` : name);
  if (user !== null && !USER.test(user)) return no(`\`${shown(user)}\` is not a user`);
  return host.ok ? ok({ user, host: host.value.host }) : no(`\`${shown(name)}\` is not a host: ${host.error}`);
}

/** `SERVICE 'PATH'`, as git quotes it. */
function readCommand(text: string): Result<Pick<GitRequest, "service" | "path">, Refusal> {
  const space = text.indexOf(" ");
  const [program, rest] = space < 0 ? [text, ""] : [text.slice(0, space), text.slice(space + 1)];
  const service = SERVICES.find((each) => each === program);
  if (!service) return no(`\`${shown(program)}\` is not run there: only ${SERVICES.join(" and ")} are`);
  const path = rest.length > 2 && rest.startsWith("'") && rest.endsWith("'") ? rest.slice(1, -1) : "";
  if (!isPath(path)) return no(`\`${shown(rest)}\` is not a path that is carried`);
  return ok({ service, path });
}

export const isPath = (path: string): boolean =>
  PATH.test(path) && !path.startsWith("-") && !path.split("/").some((part) => part === ".." || part === ".");

/** One slash at the beginning makes no other repository of it: the path of the fleet file is what the server is told. */
const relative = (path: string): string => (path.startsWith("/") ? path.slice(1) : path);

/** Whether the request means this repository. */
export const isMeant = (request: GitRequest, { host, port, user, path }: RepositorySetting): boolean =>
  request.host === host &&
  request.port === port &&
  (request.user === null || request.user === user) &&
  relative(request.path) === relative(path);

/** Two settings that no request tells apart. */
export const isSamePlace = (a: RepositorySetting, b: RepositorySetting): boolean =>
  isMeant({ ...a, user: null, service: "git-upload-pack", protocol: null }, b);

/** Without what could pass for another line, or move a cursor. */
const shown = (text: string): string => text.slice(0, 80).replaceAll(/[^\x20-\x7e]/g, "?");
