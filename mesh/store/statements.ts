import { agentStatements } from "./tables/agents.ts";
import { auditStatements } from "./tables/audit.ts";
import { boardStatements } from "./tables/board.ts";
import { credentialStatements } from "./tables/credentials.ts";
import { hookStatements } from "./tables/hooks.ts";
import { ledgerStatements } from "./tables/ledger.ts";
import { journalStatements } from "./tables/ledger-journal.ts";
import { messageStatements } from "./tables/messages.ts";
import { metaStatements } from "./tables/meta.ts";
import { scheduleStatements } from "./tables/schedule.ts";
import { spendingStatements } from "./tables/spending.ts";
import { taskStatements } from "./tables/tasks.ts";
import { topicStatements } from "./tables/topics.ts";
import { watchStatements } from "./tables/watches.ts";
import { workflowStatements } from "./tables/workflow.ts";

/** Every statement that changes a row. The order of parameters stands above each in its table's file. */
export const statements = {
  ...metaStatements,
  ...auditStatements,
  ...ledgerStatements,
  ...journalStatements,
  ...spendingStatements,
  ...boardStatements,
  ...messageStatements,
  ...agentStatements,
  ...credentialStatements,
  ...workflowStatements,
  ...watchStatements,
  ...topicStatements,
  ...scheduleStatements,
  ...hookStatements,
  ...taskStatements,
} as const;

export type StatementName = keyof typeof statements;

/** The tenants of the fleet file are budgets, and keep nothing else apart: every row belongs to this one. */
export const defaultTenant = "default";
