import { openHost } from "./sandbox-fixture.ts";
import { sandboxContract } from "./sandbox-backend.ts";

sandboxContract(
  "oci for an ordinary user",
  { isolation: "container", refused: ["gvisor", "microvm"], showsFence: true, tellsSignals: "all" },
  () => openHost(),
);
