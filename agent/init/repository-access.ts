import { get } from "node:http";
import { limits } from "../../protocol/limits.ts";
import { gitSshCommand } from "./git-ssh.ts";
import { describeFault, type Log } from "./log.ts";

const REPOSITORIES = "/v1/repositories";

/**
 * What makes an unmodified git go to its repositories by way of the door: the program that it calls in the place of `ssh`.
 * Empty where the agent has none.
 */
export async function repositoryEnvironment(doorSocket: string, log: Log): Promise<Readonly<Record<string, string>>> {
  try {
    const { repositories } = JSON.parse(await answerAt(doorSocket)) as { readonly repositories: readonly unknown[] };
    return repositories.length === 0 ? {} : { GIT_SSH_COMMAND: gitSshCommand(), GIT_SSH_VARIANT: "ssh" };
  } catch (fault) {
    log("warn", "repositories.no_access", { fault: describeFault(fault) });
    return {};
  }
}

function answerAt(socketPath: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = get({ socketPath, path: REPOSITORIES, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (piece: string) => {
        text += piece;
        if (text.length > limits.agent.answerBytesMax) response.destroy(new Error("the answer is too long"));
      });
      response.once("end", () => resolve(response.statusCode === 200 ? text : '{"repositories":[]}'));
      response.once("error", reject);
    });
    request.setTimeout(limits.agent.backOffMsMax, () => request.destroy(new Error("the door does not answer")));
    request.once("error", reject);
  });
}
