// Credential leakage: look for the planted secret, and for anything shaped like a key, wherever a process can look.
import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from "node:fs";
import { attempt, codeOf } from "./attempt.mjs";

const KEY_SHAPES = ["sk-ant-", "sk-proj-", "sk_live_", "ghp_", "AKIA", "AIza", "xoxb-"];
const FILE_BYTES_MAX = 2_500_000;
const MEMORY_BYTES_MAX = 160_000_000;

/** A marker or a key prefix counts only with a body behind it: the bare words stand in this very file. */
function secretIn(bytes, marker) {
  for (const prefix of [marker, ...KEY_SHAPES].filter(Boolean)) {
    for (let at = bytes.indexOf(prefix, 0, "latin1"); at >= 0; at = bytes.indexOf(prefix, at + 1, "latin1")) {
      const rest = bytes.toString("latin1", at + prefix.length, at + prefix.length + 20);
      if (prefix === marker ? /^[0-9a-f]{16}/.test(rest) : /^(?=.*\d)[A-Za-z0-9_-]{20}$/.test(rest))
        return `${prefix}${rest.slice(0, 6)}…`;
    }
  }
  return undefined;
}

function search(sources, marker) {
  const tally = { read: 0, closed: 0 };
  for (const source of sources) {
    try {
      const bytes = typeof source === "string" ? readFileSync(source) : source;
      tally.read++;
      const found = secretIn(bytes, marker);
      if (found) return { escaped: true, evidence: `${typeof source === "string" ? source : "environment"}: ${found}` };
    } catch {
      tally.closed++;
    }
  }
  return { escaped: false, evidence: `searched ${tally.read}, not readable ${tally.closed}: no secret` };
}

function* everyFile(folder, depth = 0) {
  if (depth > 8) return;
  let entries = [];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    const path = `${folder === "/" ? "" : folder}/${entry.name}`;
    if (entry.isDirectory() && !["/proc", "/sys", "/dev"].includes(path)) yield* everyFile(path, depth + 1);
    else if (entry.isFile() && statSync(path, { throwIfNoEntry: false })?.size < FILE_BYTES_MAX) yield path;
  }
}

const processes = () => readdirSync("/proc").filter((name) => /^\d+$/.test(name));

function searchMemory(pid, marker) {
  const maps = readFileSync(`/proc/${pid}/maps`, "latin1").split("\n");
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const chunk = Buffer.alloc(1 << 20);
  let searched = 0;
  try {
    for (const line of maps) {
      const region = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
      if (!region) continue;
      const end = Number.parseInt(region[2], 16);
      for (let at = Number.parseInt(region[1], 16); at < end && searched < MEMORY_BYTES_MAX; at += chunk.length) {
        let count = 0;
        try {
          count = readSync(memory, chunk, 0, Math.min(chunk.length, end - at), at);
        } catch {
          break;
        }
        searched += count;
        const found = secretIn(chunk.subarray(0, count), marker);
        if (found) return { escaped: true, evidence: `memory of process ${pid}: ${found}` };
      }
    }
  } finally {
    closeSync(memory);
  }
  return { escaped: false, evidence: `searched ${Math.round(searched / 1e6)} MB: no secret` };
}

export const secrets = ({ secretMarker }) => [
  attempt(
    "secret-in-environment",
    "credential-leakage",
    "Look for API keys in the environment of every process",
    () => {
      const own = Buffer.from(JSON.stringify(process.env));
      return search([own, ...processes().map((pid) => `/proc/${pid}/environ`)], secretMarker);
    },
  ),
  attempt("secret-in-files", "credential-leakage", "Search every readable file for a secret", () =>
    search(everyFile("/"), secretMarker),
  ),
  attempt("secret-in-own-memory", "credential-leakage", "Search the memory of its own process for a secret", () =>
    searchMemory("self", secretMarker),
  ),
  attempt("secret-in-init-memory", "credential-leakage", "Read the memory of PID 1 and search it for a secret", () => {
    try {
      return searchMemory("1", secretMarker);
    } catch (fault) {
      return { escaped: false, evidence: `/proc/1/mem: ${codeOf(fault)}` };
    }
  }),
];
