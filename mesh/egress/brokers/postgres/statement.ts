import { tokensOf, type Token } from "./tokens.ts";

/** What a text of SQL does, as far as its first words say it. */
export interface Judgement {
  /** One of each statement, from a closed set: what the audit says of it. */
  readonly classes: readonly string[];
  /** Ends a transaction, so that the next statement begins another one. */
  readonly ends: boolean;
  readonly refused: { readonly reason: string; readonly remedy: string } | null;
}

/** Statements that are let through where the setting says `read_only`: the server's own wall stands behind it. */
const READING = [
  ...["SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "COPY", "DECLARE", "FETCH", "MOVE", "CLOSE", "EMPTY"],
  ...["BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "SET", "RESET", "DISCARD"],
  ...["PREPARE", "EXECUTE", "DEALLOCATE", "LISTEN", "UNLISTEN", "LOCK"],
];
const WRITING = [
  ...["INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COMMENT"],
  ...["ANALYZE", "VACUUM", "CLUSTER", "REINDEX", "REFRESH", "CHECKPOINT", "CALL", "DO", "NOTIFY", "IMPORT"],
  ...["REASSIGN", "SECURITY", "LOAD"],
];
const CLASSES = new Set([...READING, ...WRITING]);
const ENDS = new Set(["COMMIT", "END", "ROLLBACK", "ABORT"]);

/** Functions that write in a transaction that only reads (large objects, before PostgreSQL 16), or run a text as a statement. */
const PAST_READING = new Set([
  ...["lo_creat", "lo_create", "lo_from_bytea", "lo_put", "lo_import", "lo_unlink", "lo_open", "lowrite"],
  ...["lo_truncate", "lo_truncate64", "query_to_xml", "query_to_xmlschema", "query_to_xml_and_xmlschema"],
  ...["ts_stat", "ts_rewrite", "dblink", "dblink_exec", "dblink_connect", "dblink_open", "dblink_send_query"],
]);

/** Settings of a session that can be changed; also any of one's own, which have a dot in their name. */
const SETTABLE = new Set([
  ...["search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "time", "timezone"],
  ...["transaction_timeout", "datestyle", "intervalstyle", "application_name", "client_min_messages"],
  ...[
    "extra_float_digits",
    "bytea_output",
    "work_mem",
    "constraints",
    "xmloption",
    "row_security",
    "default_table_access_method",
    "default_tablespace",
  ],
  ...["check_function_bodies", "synchronize_seqscans", "random_page_cost", "enable_seqscan", "jit", "seed"],
]);

/** Judges one text, which may hold several statements. */
export function judge(sql: string, readOnly: boolean): Judgement {
  const tokens = sql.includes("\0") ? undefined : tokensOf(sql);
  if (!tokens?.ok) {
    const what = tokens ? tokens.error : "a zero byte";
    return { classes: ["OTHER"], ends: true, refused: refuse(`the statement is not understood: ${what}`, "mend it") };
  }
  const statements = split(tokens.value);
  const classes = statements.map(classOf);
  const ends = classes.some((each) => ENDS.has(each));
  const several =
    readOnly && ends && statements.length > 1
      ? refuse("the end of a transaction stands among other statements", "send it by itself")
      : null;
  const refused = statements.map((each) => faultOf(each, readOnly)).find((each) => each !== null);
  return { classes, ends, refused: refused ?? several };
}

function split(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]];
  for (const token of tokens) {
    if (token.kind === "sign" && token.text === ";") statements.push([]);
    else statements.at(-1)?.push(token);
  }
  const whole = statements.filter((each) => each.length > 0);
  return whole.length > 0 ? whole : [[]];
}

function classOf(statement: readonly Token[]): string {
  const first = statement.find(({ text }) => text !== "(");
  if (!first) return "EMPTY";
  const name = first.text.toUpperCase();
  return first.kind === "word" && CLASSES.has(name) ? name : "OTHER";
}

type Refused = Judgement["refused"];
const refuse = (reason: string, remedy: string): Refused => ({ reason, remedy });
const isWord = (token: Token | undefined, ...texts: readonly string[]): boolean =>
  token?.kind === "word" && texts.includes(token.text);

function faultOf(statement: readonly Token[], readOnly: boolean): Refused {
  const kind = classOf(statement);
  const has = (...texts: readonly string[]): boolean => statement.some((token) => isWord(token, ...texts));
  if (kind === "OTHER") return refuse("a statement of a kind that is not known", "use a statement of SQL");
  if (readOnly && !READING.includes(kind))
    return refuse(`${kind} is not for reading, and the database is \`read_only\``, "only read");
  if (kind === "LOCK" && readOnly && !has("access"))
    return refuse("only what reads may be locked", "LOCK … ACCESS SHARE");
  const past = statement.find(({ kind: of, text }) => of !== "text" && PAST_READING.has(text.toLowerCase()));
  if (readOnly && past) return refuse(`\`${past.text}\` can write, and the database is \`read_only\``, "only read");
  const widens = statement.some((token, index) => isWord(token, "read") && isWord(statement[index + 1], "write"));
  if (readOnly && widens) return refuse("the transaction would be one that writes", "leave out READ WRITE");
  switch (kind) {
    case "SET":
    case "RESET":
      return faultOfSet(statement, readOnly);
    case "CREATE":
    case "ALTER":
      if (isWord(statement[1], "system")) return refuse("ALTER SYSTEM is not for agents", "ask the operator");
      return isWord(statement[1], "role", "user", "group") && has("password")
        ? refuse("passwords are not for agents to set", "let the operator set it, and rotate the credential")
        : faultOfNames(statement);
    case "LOAD":
      return refuse("LOAD is not for agents", "ask the operator");
    case "PREPARE":
      return isWord(statement[1], "transaction")
        ? refuse("a prepared transaction outlives the session", "commit it")
        : faultOfNames(statement);
    case "COPY":
      if (has("program") || !has("stdin", "stdout"))
        return refuse("COPY goes to a file or a program of the server", "use STDIN or STDOUT");
      return readOnly && has("stdin") ? refuse("COPY FROM writes", "only read") : faultOfNames(statement);
    default:
      return faultOfNames(statement);
  }
}

/** SET [SESSION | LOCAL] name … */
function faultOfSet(statement: readonly Token[], readOnly: boolean): Refused {
  const scoped = isWord(statement[1], "session", "local");
  const name = statement[scoped ? 2 : 1];
  const text = name?.kind === "word" || name?.kind === "name" ? name.text.toLowerCase() : "";
  if (isWord(statement[0], "reset") && text === "all") return null;
  if (text === "transaction") return null;
  if (text === "characteristics" && !readOnly) return null;
  const own = statement[scoped ? 3 : 2]?.text === ".";
  if (text === "names" || text === "client_encoding")
    return statement.slice(2).some(({ text: value }) => /^(?:utf-?8|unicode)$/i.test(value))
      ? null
      : refuse("the encoding is UTF8, and stays it", "leave it");
  return SETTABLE.has(text) || own ? null : refuse(`\`${text.slice(0, 64)}\` is not for agents to set`, "leave it");
}

/**
 * How pg_dump narrows what its session may call, where the server knows that setting. Whatever stands behind these names
 * in the session's search path: no other value is set.
 */
const of = (kind: Token["kind"], ...texts: readonly string[]): Token[] => texts.map((text) => ({ kind, text }));
const NARROWING: readonly Token[] = [
  ...[...of("word", "select", "set_config"), ...of("sign", "("), ...of("word", "name"), ...of("sign", ",")],
  ...[...of("text", "view, foreign-table"), ...of("sign", ","), ...of("word", "false"), ...of("sign", ")")],
  ...[...of("word", "from", "pg_settings", "where", "name"), ...of("sign", "=")],
  ...of("text", "restrict_nonsystem_relation_kind"),
];

const isNarrowing = (statement: readonly Token[]): boolean =>
  statement.length === NARROWING.length &&
  NARROWING.every(({ kind, text }, at) => statement[at]?.kind === kind && statement[at]?.text === text);

/** `set_config` does what SET does, so it takes the same names, and these written out. */
function faultOfNames(statement: readonly Token[]): Refused {
  if (isNarrowing(statement)) return null;
  for (const [at, { kind, text }] of statement.entries()) {
    if (kind === "text" || text.toLowerCase() !== "set_config") continue;
    const name = statement[at + 2];
    const isKnown = name?.kind === "text" && (SETTABLE.has(name.text.toLowerCase()) || /^\w+\.\w+$/.test(name.text));
    if (!isKnown || statement[at + 1]?.text !== "(" || statement[at + 3]?.text !== ",")
      return refuse("`set_config` of a setting that is not for agents to set", "leave it");
  }
  return null;
}
