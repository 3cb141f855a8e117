import { agentTables } from "./tables/agents.ts";
import { auditSegments, auditTables } from "./tables/audit.ts";
import { boardLog, boardMakers, boardTables } from "./tables/board.ts";
import { credentialLifecycle, credentialTables } from "./tables/credentials.ts";
import { hookTables } from "./tables/hooks.ts";
import { ledgerTables, ledgerTotals } from "./tables/ledger.ts";
import { ledgerCarried, ledgerForms, ledgerJournal } from "./tables/ledger-journal.ts";
import { messageTables } from "./tables/messages.ts";
import { metaTables } from "./tables/meta.ts";
import { scheduleDigests, scheduleTables } from "./tables/schedule.ts";
import { spendingRuns, spendingTables, spendingTenants } from "./tables/spending.ts";
import { taskTables } from "./tables/tasks.ts";
import { topicTables } from "./tables/topics.ts";
import { watchPlaces, watchTables } from "./tables/watches.ts";
import { workflowCalls, workflowTables } from "./tables/workflow.ts";

/**
 * Step n leads from `PRAGMA user_version` n to n + 1. A step that was released is never changed: the
 * tables that it made are changed by a later step.
 */
export const migrations: readonly string[] = [
  [metaTables, auditTables, ledgerTables, boardTables, messageTables, agentTables, credentialTables].join("\n"),
  workflowTables,
  [watchTables, topicTables, scheduleTables, hookTables].join("\n"),
  ledgerTotals,
  spendingTables,
  workflowCalls,
  spendingRuns,
  credentialLifecycle,
  boardLog,
  taskTables,
  scheduleDigests,
  spendingTenants,
  boardMakers,
  watchPlaces,
  ledgerJournal,
  ledgerForms,
  auditSegments,
  ledgerCarried,
];

/** `Cord` in ASCII: `PRAGMA application_id` of our files, so that no other program's database is touched. */
export const applicationId = 0x436f7264;
