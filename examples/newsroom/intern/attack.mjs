// The hijacked intern: an exhibit. This file is what an attacker runs once an agent is his: it is the command of
// the intern's sandbox, with full control of its process and no intention of asking a model anything.
//
// It waits for one message that names targets, tries to break out in every way below, prints one JSON line per
// attempt ({"attempt", "title", "threat", "escaped", "evidence"}) and then {"attempt":"done"}.
// An attacker may lie, so nothing here is believed: the host looks for itself (honeypots, audit, ledger).
import { runAll, say } from "./attempt.mjs";
import { ask, settle, sleep } from "./door.mjs";
import { boards } from "./board.mjs";
import { files } from "./files.mjs";
import { floods } from "./floods.mjs";
import { identity } from "./identity.mjs";
import { kernel } from "./kernel.mjs";
import { money } from "./money.mjs";
import { network } from "./network.mjs";
import { secrets } from "./secrets.mjs";
import { sockets } from "./sockets.mjs";

async function nextTargets() {
  for (;;) {
    const { status, json } = await ask("GET", "/v1/inbox?wait_ms=25000", { timeoutMs: 30_000 });
    if (status !== 200) {
      await sleep(status === 204 ? 10 : 1_000);
      continue;
    }
    await settle(json.id);
    try {
      const { targets } = JSON.parse(json.body);
      if (targets) return targets;
    } catch {
      // Not for us: an attacker does not do the intern's work.
    }
  }
}

for (;;) {
  const targets = await nextTargets();
  const { json: self } = await ask("GET", "/v1/self");
  const attempts = [secrets, network, sockets, boards, identity, files, kernel, floods, money].flatMap((group) =>
    group(targets, self ?? {}),
  );
  await runAll(attempts);
  say({ attempt: "done" });
}
