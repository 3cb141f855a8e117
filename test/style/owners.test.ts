/** One owner per danger: the places named here are the whole answer to "where can this happen?". */
import { guard } from "./guard.ts";
import { importsOf, resolveImport } from "./imports.ts";
import { lineOf, readSource, type Source } from "./source.ts";
import { isGuestCode, production } from "./tree.ts";

/** All code that ships and runs outside of sandboxes, and the agent zone. */
const trusted = production.filter((source) => !isGuestCode(source.path));

interface Danger {
  readonly what: string;
  readonly fix: string;
  /** Folders (ending with `/`) and files that own it. */
  readonly owners: readonly string[];
  /** In code: comments and texts are blank. */
  readonly code?: RegExp;
  /** In texts. */
  readonly text?: RegExp;
  /** A module whose import by value is the danger. */
  readonly module?: RegExp;
  /** Bad lines, as they would stand in mesh/door/sample.ts. */
  readonly sabotage: readonly string[];
  readonly harmless?: readonly string[];
}

const dangers: readonly Danger[] = [
  {
    what: "reads the environment",
    fix: "take the value from mesh/config, in the user zone from user/cli/surroundings.ts",
    owners: ["mesh/config/", "user/cli/surroundings.ts", "agent/init/"],
    code: /\bprocess\s*(?:\.|\?\.)\s*(?:env|loadEnvFile)\b|\bprocess\s*\[|\{[^{}]*\benv\b[^{}]*\}\s*=\s*process\b/g,
    sabotage: ["const a = process.env.HOME;", 'const a = process["env"];', "const { env } = process;"],
    harmless: ["// process.env", 'const a = "process.env";', "const a = process.pid;"],
  },
  {
    what: "takes the environment from node:process",
    fix: "take the value from mesh/config",
    owners: ["mesh/config/", "user/cli/surroundings.ts", "agent/init/"],
    module: /^(?:node:)?process$/,
    sabotage: ['import { env } from "node:process";'],
  },
  {
    what: "starts processes",
    fix: "ask mesh/sandbox for a sandbox",
    owners: ["mesh/sandbox/", "user/cli/mesh-process.ts", "agent/init/"],
    module: /^(?:node:)?(?:child_process|cluster)$/,
    sabotage: ['import { spawn } from "node:child_process";', 'const a = await import("child_process");'],
    harmless: ['import type { ChildProcess } from "node:child_process";'],
  },
  {
    what: "opens sockets outward",
    fix: "go through mesh/egress",
    // A relay goes to the mesh alone, which waits for it there: the same two modules say both.
    owners: ["mesh/egress/", "agent/relay/", "mesh/sandbox/docker/relay-port.ts"],
    code: /(?<![.\w])(?:fetch\s*\(|globalThis\s*\.\s*fetch\b|new\s+(?:WebSocket|EventSource|XMLHttpRequest)\b)/g,
    module: /^(?:undici|ssh2|(?:node:)?(?:https|http2|tls|dns|dns\/promises))$/,
    sabotage: [
      'const a = await fetch("https://x");',
      'new WebSocket("wss://x");',
      'import { request } from "undici";',
      'import ssh2 from "ssh2";',
      'import dns from "node:dns";',
      'import https from "node:https";',
    ],
    harmless: ["await store.fetch(1);", "const prefetch = (a) => a;"],
  },
  {
    what: "makes code from text",
    fix: "parse the text",
    owners: [],
    code: /(?<![.\w])(?:eval\s*\(|(?:new\s+)?Function\s*\()/g,
    module: /^(?:node:)?(?:vm|inspector|inspector\/promises|repl|wasi)$/,
    sabotage: ["eval(a);", 'new Function("a", b);', 'import vm from "node:vm";'],
    harmless: ["const evaluate = (a) => a;", "schema.function(1);"],
  },
  {
    what: "opens a database",
    fix: "go through mesh/store",
    owners: ["mesh/store/"],
    module: /^(?:node:)?sqlite$/,
    sabotage: ['import { DatabaseSync } from "node:sqlite";'],
  },
  {
    what: "holds SQL",
    fix: "add a statement to mesh/store/tables",
    owners: ["mesh/store/"],
    text: /^\s*(?:select\s[^;]*\sfrom\s|insert\s+(?:or\s+\w+\s+)?into\s|update\s+\w+\s+set\s|delete\s+from\s|(?:create|drop|alter)\s+(?:table|index|view|trigger)\s|pragma\s+\w|begin\s+(?:immediate|exclusive))/i,
    sabotage: [
      'db.run("SELECT a FROM b");',
      "db.run(`\n  insert or ignore into a values (?)`);",
      'db.run("UPDATE a SET b = 1");',
      'db.run("pragma journal_mode = wal");',
    ],
    harmless: ['say("update the price table");'],
  },
  {
    what: "reads a clock",
    fix: "take a Clock as a parameter",
    owners: ["lib/clock.ts"],
    code: /\bDate\s*\.\s*now\b|\bnew\s+Date\s*(?:\(\s*\)|(?!\s*\())|(?<!new\s)\bDate\s*\(|\bperformance\s*\.|\bhrtime\b/g,
    module: /^(?:node:)?perf_hooks$/,
    sabotage: [
      "const a = Date.now();",
      "const a = new Date();",
      "performance.now();",
      "process.hrtime.bigint();",
      "f(Date());",
    ],
    harmless: ["const a = new Date(clock.nowMs());", "const a = updatedDate(b);", "// Date.now()"],
  },
  {
    what: "draws randomness",
    fix: "take an Id as a parameter",
    // mesh/commands hands the system's sources to the rooms that it wires together.
    owners: ["lib/id.ts", "mesh/vault/", "mesh/commands/"],
    code: /\bMath\s*\.\s*random\b|\b(?:randomBytes|randomUUID|randomInt|randomFill|randomFillSync|getRandomValues)\b/g,
    sabotage: ["const a = Math.random();", 'import { randomBytes } from "node:crypto";', "crypto.randomUUID();"],
    harmless: ["const randomId = 1;"],
  },
  {
    what: "sees the bytes of a secret",
    fix: "pass the Secret on; only the injector opens it",
    // The last three hold a key of their own, which is no credential: the audit's and the rehearsal model's.
    owners: [
      "mesh/vault/",
      "mesh/egress/",
      "lib/redact.ts",
      "mesh/audit/create.ts",
      "mesh/audit/verify.ts",
      "mesh/rehearsal/authorize.ts",
    ],
    code: /(?:\.|\?\.)\s*reveal\b/g,
    sabotage: ["key.reveal((bytes) => bytes);"],
    harmless: ["const revealed = 1;"],
  },
];

const owns = (owners: readonly string[], path: string): boolean =>
  owners.some((owner) => (owner.endsWith("/") ? path.startsWith(owner) : path === owner));

function dangerFaults(danger: Danger, source: Source): readonly string[] {
  if (owns(danger.owners, source.path)) return [];
  const fault = (at: number): string => `${source.path}:${lineOf(source.text, at)}: ${danger.what}: ${danger.fix}`;
  const hits = [...(danger.code ? source.code.matchAll(danger.code) : [])].map((match) => match.index);
  for (const piece of source.strings) if (danger.text?.test(piece.text)) hits.push(piece.at);
  for (const item of importsOf(source)) {
    if (!item.typeOnly && danger.module?.test(item.specifier)) hits.push(item.at);
  }
  return hits.map(fault);
}

for (const danger of dangers) {
  const sample = (line: string): Source => readSource("mesh/door/sample.ts", line);
  guard({
    name: `only ${danger.owners.join(", ") || "nobody"} ${danger.what}`,
    over: trusted,
    faults: (source) => dangerFaults(danger, source),
    sabotage: danger.sabotage.map(sample),
    harmless: (danger.harmless ?? []).map(sample),
  });
}

/** Who may use node:net, node:http and node:dgram, and how. */
const CLIENTS = [
  "mesh/egress/",
  "user/cli/desk-transport.ts",
  "user/cli/mesh-presence.ts",
  "user/cli/demo/honeypots.ts",
  "agent/",
];
const LISTENERS = [
  "mesh/door/",
  "mesh/desk/",
  "mesh/rehearsal/",
  "mesh/sandbox/",
  "user/cli/demo/",
  "user/cli/login.ts",
  "user/channels/webhooks/",
];
/** `new Socket({ fd })` reads the pipe of a sandbox without a thread. */
const PIPE_READERS = ["mesh/sandbox/output.ts"];
/** Asks the docker engine of this machine over its Unix socket, and nobody over a network. */
const ENGINE_CLIENT = ["mesh/sandbox/docker/engine.ts"];
/** Goes to the door's Unix socket in the place of the sandbox that cannot. */
const DOOR_CLIENT = ["mesh/sandbox/docker/relay-port.ts"];
const INERT_NAMES = ["isIP", "isIPv4", "isIPv6", "BlockList", "STATUS_CODES"];
const LISTENING_NAMES = ["createServer", "createSocket", "Server", ...INERT_NAMES];

function socketFaults(source: Source): readonly string[] {
  if (owns(CLIENTS, source.path)) return [];
  return importsOf(source).flatMap((item) => {
    if (item.typeOnly || !/^(?:node:)?(?:net|http|dgram)$/.test(item.specifier)) return [];
    const only = [
      ...(owns(LISTENERS, source.path) ? LISTENING_NAMES : INERT_NAMES),
      ...(owns(PIPE_READERS, source.path) ? ["Socket"] : []),
      ...(owns(ENGINE_CLIENT, source.path) ? ["request"] : []),
      ...(owns(DOOR_CLIENT, source.path) ? ["connect"] : []),
    ];
    const taken = item.names.filter((name) => !only.includes(name));
    const place = `${source.path}:${lineOf(source.text, item.at)}`;
    return taken.map(
      (name) => `${place}: takes \`${name}\` of ${item.specifier}: only ${only.join(", ")} may be taken here`,
    );
  });
}

guard({
  name: "listeners listen, and open nothing outward",
  over: trusted,
  faults: socketFaults,
  sabotage: [
    readSource("mesh/door/a.ts", 'import { createServer, connect } from "node:net";'),
    readSource("mesh/desk/a.ts", 'import http from "node:http";'),
    readSource("mesh/rehearsal/a.ts", 'import * as net from "node:net";'),
    readSource("mesh/policy/a.ts", 'import { createServer } from "node:http";'),
    readSource("user/cli/commands/a.ts", 'import { request } from "node:http";'),
    readSource("mesh/main.ts", 'const net = await import("node:net");'),
  ],
  harmless: [
    readSource("mesh/door/a.ts", 'import { createServer, type Socket } from "node:net";'),
    readSource("mesh/egress/a.ts", 'import { connect } from "node:net";'),
    readSource("mesh/policy/a.ts", 'import { isIP } from "node:net";'),
  ],
});

/** The room where secrets lie open is entered by the injector and by the wiring. */
const VAULT_VISITORS = ["mesh/vault/", "mesh/egress/", "mesh/main.ts", "mesh/commands/"];

function vaultFaults(source: Source): readonly string[] {
  if (owns(VAULT_VISITORS, source.path)) return [];
  return importsOf(source)
    .filter((item) => !item.typeOnly && resolveImport(source.path, item.specifier)?.startsWith("mesh/vault/"))
    .map(
      (item) => `${source.path}:${lineOf(source.text, item.at)}: loads the vault: take what you need as a parameter`,
    );
}

guard({
  name: "only mesh/egress and the wiring load the vault",
  over: trusted,
  faults: vaultFaults,
  sabotage: [
    readSource("mesh/desk/a.ts", 'import { openVault } from "../vault/vault.ts";'),
    readSource("mesh/audit/a.ts", 'export * from "./../vault/vault.ts";'),
  ],
  harmless: [readSource("mesh/egress/a.ts", 'import { openVault } from "../vault/vault.ts";')],
});
