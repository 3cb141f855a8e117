import { refusal, type Refusal } from "../../protocol/refusal.ts";
import { anthropicRefusal, geminiRefusal, openaiRefusal } from "../egress/wire/parts.ts";

/** What official clients also offer, and why it is no route here: no meter, no route. */
const reasons: readonly (readonly [path: string, reason: string])[] = [
  ["/openai/v1/images/", "a picture that is made from others has no bound that can be reserved"],
  [
    "/openai/v1/audio/",
    "speech is charged by the time of a sound that is not made yet, and translation is not metered",
  ],
  ["/openai/v1/videos", "a generated video has no bound that can be reserved"],
  ["/openai/v1/realtime", "a session that stays open has no bound that can be reserved"],
  ["/openai/v1/completions", "the older format has no meter"],
  ["/openai/v1/responses/", "answers are not kept at the provider"],
  ["/openai/v1/files", "files are not kept at the provider"],
  ["/openai/v1/batches", "a batch is charged later than its hold can live"],
  ["/anthropic/v1/messages/batches", "a batch is charged later than its hold can live"],
  ["/anthropic/v1/files", "files are not kept at the provider"],
];

/** The refusal of a path that is known, and is not served for a reason. */
export function unmeteredRoute(path: string): Refusal | undefined {
  const found = reasons.find(([prefix]) => path.startsWith(prefix));
  return found && refusal("unsupported", `no meter, no route: ${found[1]}`, "use a route that the guide lists");
}

/** Below a format's own root even a path that does not exist is refused in that format's words. */
export function refusalBodyFor(target: string, refused: Refusal): string | undefined {
  if (target.startsWith("/openai/")) return openaiRefusal(refused);
  if (target.startsWith("/anthropic/")) return anthropicRefusal(refused);
  return target.startsWith("/gemini/") ? geminiRefusal(refused) : undefined;
}
