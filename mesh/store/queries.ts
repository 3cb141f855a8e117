import type { Prepare } from "./database.ts";
import { agentQueries } from "./tables/agents.ts";
import { auditQueries } from "./tables/audit.ts";
import { boardQueries } from "./tables/board.ts";
import { credentialQueries } from "./tables/credentials.ts";
import { hookQueries } from "./tables/hooks.ts";
import { ledgerQueries } from "./tables/ledger.ts";
import { messageQueries, replyQueries } from "./tables/messages.ts";
import { metaQueries } from "./tables/meta.ts";
import { scheduleQueries } from "./tables/schedule.ts";
import { spendingQueries } from "./tables/spending.ts";
import { taskQueries } from "./tables/tasks.ts";
import { topicQueries } from "./tables/topics.ts";
import { watchQueries } from "./tables/watches.ts";
import { workflowQueries } from "./tables/workflow.ts";

/** Every read: synchronous, of committed rows only. Throws a StoreFailure when the file cannot be read. */
export const createQueries = (prepare: Prepare) => ({
  meta: metaQueries(prepare),
  audit: auditQueries(prepare),
  ledger: ledgerQueries(prepare),
  spending: spendingQueries(prepare),
  board: boardQueries(prepare),
  messages: messageQueries(prepare),
  replies: replyQueries(prepare),
  agents: agentQueries(prepare),
  credentials: credentialQueries(prepare),
  workflow: workflowQueries(prepare),
  watches: watchQueries(prepare),
  topics: topicQueries(prepare),
  schedule: scheduleQueries(prepare),
  hooks: hookQueries(prepare),
  tasks: taskQueries(prepare),
});

export type Queries = ReturnType<typeof createQueries>;
