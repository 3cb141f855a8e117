import { err, ok, type Result } from "../../lib/result.ts";
import { doorRoutes, toolNames, type ToolName } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { FromPath, WireName } from "../egress/wire/format.ts";
import { unmeteredRoute } from "./unmetered.ts";

/** Everything that a request at the door can mean. */
export type DoorRequest =
  | { readonly kind: "self" }
  | { readonly kind: "inbox"; readonly waitMs: number }
  | { readonly kind: "done"; readonly message: string }
  | { readonly kind: "reply"; readonly message: string }
  | { readonly kind: "tool"; readonly tool: ToolName }
  | { readonly kind: "models" }
  | { readonly kind: "mcp" }
  | { readonly kind: "authority" }
  | { readonly kind: "databases" }
  | { readonly kind: "repositories" }
  | { readonly kind: "model"; readonly wire: WireName; readonly from?: FromPath };

const modelRoutes: Readonly<Record<string, WireName>> = {
  [doorRoutes.openaiChat]: "openai.chat",
  [doorRoutes.openaiResponses]: "openai.responses",
  [doorRoutes.openaiEmbeddings]: "openai.embeddings",
  [doorRoutes.openaiImages]: "openai.images",
  [doorRoutes.openaiTranscriptions]: "openai.transcriptions",
  [doorRoutes.anthropicMessages]: "anthropic.messages",
  [doorRoutes.anthropicMessagesShort]: "anthropic.messages",
  [doorRoutes.anthropicCount]: "anthropic.count",
};

/** By their paths: what is asked most is found first. */
const calls: ReadonlyMap<string, Result<DoorRequest, never>> = new Map(
  Object.entries(modelRoutes).map(([path, wire]) => [path, ok({ kind: "model", wire })]),
);

const MESSAGE_ID = /^msg_[a-z0-9]{26}$/;

/** Method and target → request. Only the canonical spelling of a path is known; no decoding, no normalising. */
export function route(method: string, target: string): Result<DoorRequest, Refusal> {
  const call = method === "POST" ? calls.get(target) : undefined;
  if (call) return call;
  if (target.length > limits.door.urlBytesMax) {
    return err(refusal("too_large", `the target is longer than ${limits.door.urlBytesMax} bytes`, "send less"));
  }
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? undefined : target.slice(mark + 1);
  if (path === doorRoutes.inbox) return only("GET", method, path) ?? inbox(query);
  const root = [doorRoutes.geminiModels, doorRoutes.geminiModelsBeta].find((prefix) => path.startsWith(prefix));
  if (root) return gemini(method, path, path.slice(root.length), query);
  // The official Anthropic client adds `?beta=true`; it changes nothing here.
  const known = query === undefined || (path.startsWith(doorRoutes.anthropicMessages) && query === "beta=true");
  if (!known) return err(unknown(method, target));
  if (path === doorRoutes.self) return only("GET", method, path) ?? ok({ kind: "self" });
  if (path === doorRoutes.mcp) return ok({ kind: "mcp" });
  if (path === doorRoutes.webAuthority) return only("GET", method, path) ?? ok({ kind: "authority" });
  if (path === doorRoutes.databases) return only("GET", method, path) ?? ok({ kind: "databases" });
  if (path === doorRoutes.repositories) return only("GET", method, path) ?? ok({ kind: "repositories" });
  if (path === doorRoutes.openaiModels) return only("GET", method, path) ?? ok({ kind: "models" });
  const wire = Object.hasOwn(modelRoutes, path) ? modelRoutes[path] : undefined;
  if (wire) return only("POST", method, path) ?? ok({ kind: "model", wire });
  const unmetered = unmeteredRoute(path);
  if (unmetered) return err(unmetered);
  const [before, version, room, item, verb, ...more] = path.split("/");
  if (before !== "" || version !== "v1" || more.length > 0) return err(unknown(method, path));
  if (room === "tools" && verb === undefined) {
    const tool = toolNames.find((name) => name === item);
    return tool ? (only("POST", method, path) ?? ok({ kind: "tool", tool })) : err(unknown(method, path));
  }
  if (room === "inbox" && item !== undefined && MESSAGE_ID.test(item) && (verb === "done" || verb === "reply")) {
    return only("POST", method, path) ?? ok({ kind: verb, message: item });
  }
  return err(unknown(method, path));
}

function inbox(query: string | undefined): Result<DoorRequest, Refusal> {
  if (query === undefined) return ok({ kind: "inbox", waitMs: 0 });
  const match = /^wait_ms=(\d{1,6})$/.exec(query);
  if (!match) return err(refusal("malformed", "the inbox takes `wait_ms` only", "use `?wait_ms=25000`"));
  return ok({ kind: "inbox", waitMs: Math.min(Number(match[1]), limits.door.inboxWaitMsMax) });
}

/** `PROVIDER/MODEL:METHOD`: here the path says which model is meant, and whether its answer is a stream. */
const GEMINI = /^([a-z][a-z0-9-]{0,63}\/[A-Za-z0-9._@-]{1,128}):([a-zA-Z]{1,40})$/;

function gemini(method: string, path: string, rest: string, query: string | undefined): Result<DoorRequest, Refusal> {
  const [, model = "", verb] = GEMINI.exec(rest) ?? [];
  const streams = verb === "streamGenerateContent" && query === "alt=sse";
  if (!streams && query !== undefined) return err(unknown(method, path));
  if (streams || verb === "generateContent")
    return (
      only("POST", method, path) ?? ok({ kind: "model", wire: "gemini.generate", from: { model, stream: streams } })
    );
  if (verb === "batchEmbedContents")
    return only("POST", method, path) ?? ok({ kind: "model", wire: "gemini.embed", from: { model, stream: false } });
  return err(unknown(method, path));
}

const only = (wanted: string, method: string, path: string): Result<never, Refusal> | undefined =>
  method === wanted ? undefined : err(refusal("method_not_allowed", `${path} takes ${wanted} only`, `use ${wanted}`));

const unknown = (method: string, path: string): Refusal =>
  refusal(
    "not_found",
    `the door has no \`${method.slice(0, 16)} ${path.slice(0, 80)}\``,
    "see the routes in the guide",
  );
