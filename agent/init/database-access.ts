import { get } from "node:http";
import { limits } from "../../protocol/limits.ts";
import { databaseRelay } from "../../protocol/sandbox-paths.ts";
import { describeFault, type Log } from "./log.ts";
import { startRelay } from "./relay.ts";

const DATABASES = "/v1/databases";
/** What turns a connection to the door into a session of a database. */
const PREFACE = `GET ${DATABASES} HTTP/1.1\r\nhost: door\r\nconnection: upgrade\r\nupgrade: postgres\r\n\r\n`;

export interface DatabaseAccess {
  /** What names the first database to clients; empty where there is none. */
  readonly environment: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

const none: DatabaseAccess = { environment: {}, close: () => Promise.resolve() };

/**
 * Where the agent may use databases, they are found where clients of PostgreSQL look by themselves: on loopback, without a
 * password and without TLS.
 */
export async function openDatabases(
  doorSocket: string,
  log: Log,
  port: number = databaseRelay.port,
): Promise<DatabaseAccess> {
  try {
    const [first] = (JSON.parse(await answerAt(doorSocket)) as { databases: readonly Database[] }).databases;
    if (!first) return none;
    const { host } = databaseRelay;
    const open = await startRelay({
      ...{ host, port, doorSocket, log, preface: PREFACE },
      connectionsMax: limits.postgres.connectionsMax,
      idleMs: limits.postgres.idleTimeoutMs,
    });
    const environment = {
      ...{ PGHOST: host, PGPORT: String(open.port), PGDATABASE: first.name, PGUSER: first.role },
      ...{ PGSSLMODE: "disable", PGGSSENCMODE: "disable" },
    };
    return { environment, close: () => open.close() };
  } catch (fault) {
    log("warn", "databases.no_access", { fault: describeFault(fault) });
    return none;
  }
}

interface Database {
  readonly name: string;
  readonly role: string;
}

function answerAt(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path: DATABASES, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
        if (text.length > limits.agent.answerBytesMax) response.destroy(new Error("the answer is too long"));
      });
      response.once("end", () => resolve(response.statusCode === 200 ? text : '{"databases":[]}'));
      response.once("error", reject);
    });
    request.setTimeout(limits.agent.backOffMsMax, () => request.destroy(new Error("the door does not answer")));
    request.once("error", reject);
  });
}
