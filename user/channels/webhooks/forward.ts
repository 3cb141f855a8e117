import { deskFiles } from "../../../protocol/desk.ts";
import { DeskRefusal, openTransport } from "../../cli/desk-transport.ts";
import type { Forward, Verdict } from "./listener.ts";

const STATUS: Readonly<Record<string, Verdict["status"]>> = {
  unauthenticated: 401,
  malformed: 400,
  too_large: 413,
  unsupported: 422,
  rate_limited: 429,
};

/** The desk as the listener sees it: with a token that opens this one route and no other. */
export async function forwardToDesk(state: string): Promise<Forward> {
  const transport = await openTransport(state, deskFiles.hookToken);
  return async (hook, { headers, body }) => {
    try {
      await transport({
        method: "POST",
        path: `/v1/hooks/${hook}`,
        body: { headers, bodyBase64: body.toString("base64") },
      });
      return { status: 202, word: "accepted" };
    } catch (error) {
      // The sender learns the kind of the refusal; the words of the mesh stay with its operator.
      const code = error instanceof DeskRefusal ? error.code : "";
      return { status: STATUS[code] ?? 503, word: code.replace("_", " ") || "try again later" };
    }
  };
}
