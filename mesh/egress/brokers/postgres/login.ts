import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { limits } from "../../../../protocol/limits.ts";
import { frame, FrameReader, int32, ProtocolFault, textAt, type Frame } from "./frames.ts";
import { Scram } from "./scram.ts";
import type { DatabaseSetting } from "./setting.ts";
import type { Settings } from "./startup.ts";
import type { Upstream } from "./upstream.ts";

/** A connection that has been logged in and waits for a query. */
export interface Session {
  readonly socket: Socket;
  readonly reader: FrameReader;
  /** What names the session to who wants to cancel a statement of it; empty: the server cancels nothing. */
  readonly cancelKey: Buffer;
  /** The server's settings that it tells its clients, as it has told them. */
  readonly told: readonly Frame[];
}

export interface Login {
  readonly setting: DatabaseSetting;
  readonly settings: Settings;
  readonly password: string;
  /** Random, visible ASCII without a comma. */
  readonly nonce: string;
}

const PROTOCOL_3_0 = 0x0003_0000;

/** Logs in as the role of the setting. Faults never repeat what the server says. */
export async function logIn({ socket, binding }: Upstream, login: Login): Promise<Session> {
  const { setting } = login;
  socket.write(startupOf(login));
  const reader = new FrameReader(socket);
  await authenticate(reader, socket, login, binding);
  const told: Frame[] = [];
  let cancelKey: Buffer = Buffer.alloc(0);
  for (;;) {
    const each = await answer(reader);
    if (each.type === "Z") break;
    if (each.type === "K") cancelKey = Buffer.from(each.body);
    else if (each.type === "S" && told.length < limits.postgres.startupSettingsMax * 4) told.push(each);
    else if (each.type !== "N") throw new ProtocolFault("the server's answer to the login is not understood");
  }
  // Who does not hand this setting on, such as a pooler between, does not hold it either.
  const known = new Map(told.map(({ body }) => settingOf(body)));
  for (const [name, value] of Object.entries(pinned(setting)))
    if (known.get(name) !== value) throw new ProtocolFault(`the server does not take the setting \`${name}\``);
  return { socket, reader, cancelKey, told };
}

/** What holds as long as the session; a server that tells another value is left. */
export const pinned = ({ readOnly, role }: DatabaseSetting): Readonly<Record<string, string>> => ({
  client_encoding: "UTF8",
  standard_conforming_strings: "on",
  session_authorization: role,
  ...(readOnly && { default_transaction_read_only: "on" }),
});

export function settingOf(body: Buffer): [name: string, value: string] {
  const name = textAt(body, 0);
  return [name.text, textAt(body, name.next).text];
}

function startupOf({ setting, settings }: Login): Buffer {
  const { session_authorization: _role, ...held } = pinned(setting);
  const all = { ...Object.fromEntries(settings), ...held, user: setting.role, database: setting.database };
  const pairs = Object.entries(all).map(([name, value]) => `${name}\0${value}\0`);
  return frame("", int32(PROTOCOL_3_0), `${pairs.join("")}\0`);
}

async function answer(reader: FrameReader): Promise<Frame> {
  const each = await reader.next(limits.postgres.answerBytesMax);
  if (!each) throw new ProtocolFault("the server closed the connection");
  // Class 28 is an invalid authorization (PostgreSQL 18, appendix A); its text could repeat what was sent.
  if (each.type === "E")
    throw new ProtocolFault(
      each.body.includes("\0C28") ? "the server does not take the role's password" : "the server refuses the login",
    );
  return each;
}

/** AuthenticationXXX (PostgreSQL 18, section 54.7). */
async function authenticate(
  reader: FrameReader,
  socket: Socket,
  { setting, password, nonce }: Login,
  binding: Buffer | null,
): Promise<void> {
  const asked = await authentication(reader);
  if (asked.code === 5 && setting.auth === "md5") {
    socket.write(frame("p", `${md5Of(password, setting.role, asked.data.subarray(0, 4))}\0`));
  } else if (asked.code === 10 && setting.auth === "scram") {
    const offered = asked.data.toString("latin1").split("\0");
    const scram = new Scram(password, nonce, offered, binding);
    const first = Buffer.from(scram.first());
    socket.write(frame("p", `${scram.mechanism}\0`, int32(first.length), first));
    socket.write(frame("p", await scram.final(await said(reader, 11))));
    scram.check(await said(reader, 12));
  } else {
    throw new ProtocolFault(`the server does not ask for the password by \`auth: ${setting.auth}\``);
  }
  if ((await authentication(reader)).code !== 0) throw new ProtocolFault("the server does not end the login");
}

async function authentication(reader: FrameReader): Promise<{ readonly code: number; readonly data: Buffer }> {
  const each = await answer(reader);
  if (each.type !== "R" || each.body.length < 4) throw new ProtocolFault("the server does not begin the login");
  return { code: each.body.readInt32BE(0), data: each.body.subarray(4) };
}

async function said(reader: FrameReader, code: number): Promise<string> {
  const each = await authentication(reader);
  if (each.code !== code) throw new ProtocolFault("the server breaks off the login");
  return each.data.toString("latin1");
}

const md5 = (...parts: readonly (string | Buffer)[]): string =>
  parts.reduce((hash, part) => hash.update(part), createHash("md5")).digest("hex");
const md5Of = (password: string, role: string, salt: Buffer): string =>
  `md5${md5(md5(Buffer.from(password + role)), salt)}`;
