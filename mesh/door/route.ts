import { err, ok, type Result } from "../../lib/result.ts";
import { doorRoutes, toolNames, type ToolName } from "../../protocol/door.ts";
import { limits } from "../../protocol/limits.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import type { Api } from "../egress/providers.ts";

/** Everything that a request at the door can mean. */
export type DoorRequest =
  | { readonly kind: "self" }
  | { readonly kind: "inbox"; readonly waitMs: number }
  | { readonly kind: "done"; readonly message: string }
  | { readonly kind: "reply"; readonly message: string }
  | { readonly kind: "tool"; readonly tool: ToolName }
  | { readonly kind: "model"; readonly api: Api };

const MESSAGE_ID = /^msg_[a-z0-9]{26}$/;

/** Method and target → request. Only the canonical spelling of a path is known; no decoding, no normalising. */
export function route(method: string, target: string): Result<DoorRequest, Refusal> {
  if (target.length > limits.door.urlBytesMax) {
    return err(refusal("too_large", `the target is longer than ${limits.door.urlBytesMax} bytes`, "send less"));
  }
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? undefined : target.slice(mark + 1);
  if (path === doorRoutes.inbox) return only("GET", method, path) ?? inbox(query);
  // The official Anthropic client adds `?beta=true`; it changes nothing here.
  const known = query === undefined || (path === doorRoutes.anthropicMessages && query === "beta=true");
  if (!known) return err(unknown(method, target));
  if (path === doorRoutes.self) return only("GET", method, path) ?? ok({ kind: "self" });
  if (path === doorRoutes.openaiChat) return only("POST", method, path) ?? ok({ kind: "model", api: "openai" });
  if (path === doorRoutes.anthropicMessages)
    return only("POST", method, path) ?? ok({ kind: "model", api: "anthropic" });
  const [root, version, room, item, verb, ...more] = path.split("/");
  if (root !== "" || version !== "v1" || more.length > 0) return err(unknown(method, path));
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

const only = (wanted: string, method: string, path: string): Result<never, Refusal> | undefined =>
  method === wanted ? undefined : err(refusal("method_not_allowed", `${path} takes ${wanted} only`, `use ${wanted}`));

const unknown = (method: string, path: string): Refusal =>
  refusal(
    "not_found",
    `the door has no \`${method.slice(0, 16)} ${path.slice(0, 80)}\``,
    "see the routes in the guide",
  );
