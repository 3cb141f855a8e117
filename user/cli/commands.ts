import type { Command } from "./command.ts";
import { assault } from "./commands/assault.ts";
import { audit } from "./commands/audit.ts";
import { budget } from "./commands/budget.ts";
import { chat } from "./commands/chat.ts";
import { check } from "./commands/check.ts";
import { costs } from "./commands/costs.ts";
import { credential } from "./commands/credential.ts";
import { demo } from "./commands/demo.ts";
import { doctor } from "./commands/doctor.ts";
import { down } from "./commands/down.ts";
import { events } from "./commands/events.ts";
import { exec } from "./commands/exec.ts";
import { hooks } from "./commands/hooks.ts";
import { init } from "./commands/init.ts";
import { logs } from "./commands/logs.ts";
import { models } from "./commands/models.ts";
import { plan } from "./commands/plan.ts";
import { rehearsal } from "./commands/rehearsal.ts";
import { replay } from "./commands/replay.ts";
import { run } from "./commands/run.ts";
import { runs } from "./commands/runs.ts";
import { status } from "./commands/status.ts";
import { tasks } from "./commands/tasks.ts";
import { trace } from "./commands/trace.ts";
import { up } from "./commands/up.ts";
import { vault } from "./commands/vault.ts";
import { version } from "./commands/version.ts";

/** Every command, `help` aside. */
export const commands: readonly Command[] = [
  demo,
  init,
  check,
  plan,
  up,
  down,
  status,
  run,
  runs,
  replay,
  trace,
  tasks,
  chat,
  logs,
  events,
  exec,
  costs,
  budget,
  models,
  audit,
  credential,
  vault,
  hooks,
  doctor,
  assault,
  rehearsal,
  version,
];
