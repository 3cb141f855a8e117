import type { z } from "zod";
import { nearest } from "../../lib/nearest.ts";
import { FAULTS_MAX, type Fault, type Path, type Source } from "./source.ts";

/** One zod issue → faults that name the key, what was expected and, where possible, what was meant. */
export function describe(source: Source, issue: z.core.$ZodIssue, keys: readonly string[] = knownKeys): Fault[] {
  const path: Path = issue.path;
  const where = path.length > 0 ? `\`${path.map(String).join(".")}\`` : "the file";
  if (issue.code === "unrecognized_keys") {
    return issue.keys.slice(0, FAULTS_MAX).map((key) => {
      const meant = nearest(key, keys);
      // Known, but not here.
      const fix = meant === undefined || meant === key ? "remove it" : `did you mean \`${meant}\`?`;
      return source.at(path, `unknown key \`${key}\` in ${where}`, fix, key);
    });
  }
  if (issue.code === "invalid_key")
    return [
      source.at(
        path.slice(0, -1),
        `\`${String(path.at(-1))}\` is not a name`,
        issue.issues[0]?.message ?? "rename it",
        String(path.at(-1)),
      ),
    ];
  if (issue.code === "invalid_value") {
    return [
      source.at(
        path,
        `${where} has a value that is not known`,
        `expected one of ${issue.values.map((v) => `\`${String(v)}\``).join(", ")}`,
      ),
    ];
  }
  if (issue.code === "invalid_union")
    return [source.at(path, `${where} has the wrong type`, "expected a number or a text with a unit")];
  if (issue.code === "invalid_type") {
    const missing = issue.input === undefined || issue.input === null;
    return [
      source.at(
        path,
        missing ? `${where} is missing or empty` : `${where} has the wrong type`,
        `expected ${issue.expected}`,
      ),
    ];
  }
  return [source.at(path, `${where} is refused`, issue.message)];
}

const knownKeys = [
  ...["web", "ca", "bindings", "to", "in", "require", "methods", "paths", "address", "tls"],
  ...["version", "fleet", "time_zone", "files", "rehearsal", "budget", "providers", "defaults", "agents"],
  ...["backend", "docker", "socket", "relay"],
  ...["databases", "database", "role", "read_only", "auth"],
  ...["repositories", "key", "passphrase", "host_key", "push", "refs", "force", "delete"],
  ...[
    "read",
    "write",
    ...["hour", "day", "month", "rolling", "to", "requests", "bytes"],
    "tokens",
    "usd",
    "model",
    "sandbox",
    "memory",
    "cpus",
    "pids",
    "disk",
    "isolation",
    ...["packages", "image", "rootfs"],
  ],
  ...[
    "instructions",
    "command",
    "code",
    "may",
    "message",
    "blackboard",
    "reach",
    "topics",
    "schedule",
    "hooks",
    "verify",
    "secret",
    "window",
    "schema",
    "cron",
    "every",
    "missed",
    "overlap",
    "jitter",
    "probe",
    "publish",
    "subscribe",
    "append_only",
    "use",
    "tools",
    "api",
    "base_url",
    "credential",
    "price",
    ...["models", "model_limits", "max_tokens", "n", "temperature", "azure", "api_version", "bedrock", "region"],
    "input",
    ...["chain", "first_byte", "deadline", "cache", "ttl", "nondeterministic"],
    ...["runaway", "identical_calls", "identical_within", "spend_percent", "spend_within"],
    ...["output", "cache_read", "cache_write", "teams", "tenants", "members", "models", "prices"],
  ],
];
