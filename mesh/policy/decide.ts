import { globMatches } from "../../lib/glob.ts";
import type { ToolName } from "../../protocol/door.ts";
import { refusal, type Refusal } from "../../protocol/refusal.ts";
import {
  narrowestLine,
  originOf,
  reachOf,
  rulesAt,
  type ReachRule,
  type RequestAction,
  type TunnelAction,
} from "./reach.ts";

/** Everything that an agent can ask for. What is not here does not exist. */
export type Action =
  | { readonly verb: "model.call"; readonly model: string }
  | { readonly verb: "message.send"; readonly to: string }
  | { readonly verb: "board.list" }
  | { readonly verb: "board.watch" }
  | { readonly verb: "board.history"; readonly key: string }
  | { readonly verb: "board.read"; readonly key: string }
  | { readonly verb: "board.write"; readonly key: string }
  | { readonly verb: "topic.publish"; readonly topic: string }
  | { readonly verb: "topic.subscribe"; readonly topic: string }
  | { readonly verb: "tool.call"; readonly tool: ToolName }
  | { readonly verb: "database.connect"; readonly database: string }
  | { readonly verb: "git.fetch"; readonly repository: string }
  | { readonly verb: "git.push"; readonly repository: string }
  | TunnelAction
  | RequestAction;

/** `rule` names the line of the fleet file that allowed it. */
export type Decision =
  | { readonly allow: true; readonly rule: string }
  | { readonly allow: false; readonly refusal: Refusal };

/** One agent's permissions, as the fleet file gives them. */
export interface Grants {
  readonly message: readonly string[];
  readonly blackboard: { readonly read: readonly string[]; readonly write: readonly string[] };
  readonly tools: readonly ToolName[];
  /** Patterns of topics; absent = none. */
  readonly topics?: { readonly publish: readonly string[]; readonly subscribe: readonly string[] };
  /** `provider/model` ids that it may call. */
  readonly models: readonly string[];
  /** Patterns of further ones. */
  readonly modelPatterns?: readonly string[];
  /** Places outside; absent = none. */
  readonly reach?: readonly ReachRule[];
  /** Credentials that are put in for it where they are bound. */
  readonly use?: readonly string[];
  /** Names of databases; absent = none. */
  readonly databases?: readonly string[];
  /** Names of repositories; absent = none. */
  readonly repositories?: readonly string[];
}

/** Who may do what; immutable, one value per policy version. */
export type Matrix = ReadonlyMap<string, Grants>;

const allow = (rule: string): Decision => ({ allow: true, rule });
const deny = (reason: string, remedy: string): Decision => ({
  allow: false,
  refusal: refusal("denied", reason, remedy),
});

function decideModel(grants: Grants, agent: string, model: string): Decision {
  if (grants.models.includes(model)) return allow(`agents.${agent}.model`);
  const pattern = grants.modelPatterns?.find((glob) => globMatches(glob, model));
  if (pattern !== undefined) return allow(`agents.${agent}.may.models: ${pattern}`);
  return deny(`model \`${model}\` is not one of \`${agent}\`'s`, `set \`agents.${agent}.model\` to \`${model}\``);
}

/** Pure: the same matrix, agent and action always give the same decision. Default deny. */
export function decide(matrix: Matrix, agent: string, action: Action): Decision {
  const grants = matrix.get(agent);
  if (!grants) return deny(`\`${agent}\` is not an agent of this fleet`, "declare it in the fleet file");
  // What is asked most first: it needs no text but that of its rule.
  if (action.verb === "model.call") return decideModel(grants, agent, action.model);
  const path = `agents.${agent}.may`;
  switch (action.verb) {
    case "message.send":
      return grants.message.includes(action.to)
        ? allow(`${path}.message: ${action.to}`)
        : deny(`\`${agent}\` may not message \`${action.to}\``, `add \`${action.to}\` to \`${path}.message\``);
    case "board.list":
    case "board.watch":
      return grants.blackboard.read.length > 0
        ? allow(`${path}.blackboard.read`)
        : deny(`\`${agent}\` reads no blackboard keys`, `add a pattern to \`${path}.blackboard.read\``);
    case "board.read":
    case "board.history":
    case "board.write": {
      const side = action.verb === "board.write" ? "write" : "read";
      const pattern = grants.blackboard[side].find((glob) => globMatches(glob, action.key));
      return pattern === undefined
        ? deny(
            `\`${agent}\` may not ${side} board key \`${action.key}\``,
            `add \`${action.key}\` to \`${path}.blackboard.${side}\``,
          )
        : allow(`${path}.blackboard.${side}: ${pattern}`);
    }
    case "topic.publish":
    case "topic.subscribe": {
      const side = action.verb === "topic.publish" ? "publish" : "subscribe";
      const pattern = grants.topics?.[side].find((glob) => globMatches(glob, action.topic));
      return pattern === undefined
        ? deny(
            `\`${agent}\` may not ${side === "publish" ? "publish on" : "subscribe to"} topic \`${action.topic}\``,
            `add \`${action.topic}\` to \`${path}.topics.${side}\``,
          )
        : allow(`${path}.topics.${side}: ${pattern}`);
    }
    case "tool.call":
      return grants.tools.includes(action.tool)
        ? allow(`${path}.tools: ${action.tool}`)
        : deny(`\`${agent}\` has no tool \`${action.tool}\``, `add \`${action.tool}\` to \`${path}.tools\``);
    case "database.connect":
      return grants.databases?.includes(action.database)
        ? allow(`${path}.databases: ${action.database}`)
        : deny(
            `\`${agent}\` may not use database \`${action.database}\``,
            `add \`${action.database}\` to \`${path}.databases\``,
          );
    case "git.fetch":
    case "git.push":
      return grants.repositories?.includes(action.repository)
        ? allow(`${path}.repositories: ${action.repository}`)
        : deny(
            `\`${agent}\` may not use repository \`${action.repository}\``,
            `add \`${action.repository}\` to \`${path}.repositories\``,
          );
    case "web.tunnel": {
      const [rule] = rulesAt(grants.reach ?? [], action.host, action.port);
      const origin = originOf({ scheme: "https", ...action });
      return rule
        ? allow(`${path}.reach: ${rule.text}`)
        : deny(`\`${agent}\` may not reach ${origin}`, `add \`${origin}\` to \`${path}.reach\``);
    }
    case "web.request": {
      const rule = reachOf(grants.reach ?? [], action);
      return rule
        ? allow(`${path}.reach: ${rule.text}`)
        : deny(
            `\`${agent}\` may not ${action.method} ${originOf(action)}${action.path}`,
            `add \`${narrowestLine(action)}\` to \`${path}.reach\``,
          );
    }
    default:
      return deny("unknown action", "use an action of the door's protocol");
  }
}
