import { limits } from "../../protocol/limits.ts";
import { refusal } from "../../protocol/refusal.ts";
import type { WireName } from "../egress/wire/format.ts";
import { wireFormats } from "../egress/wire/formats.ts";
import { bytesSaid, sendRefusal, type HttpRequest, type HttpResponse } from "../http/exchange.ts";
import { modelCall } from "./model-call.ts";
import { refuse } from "./model-links.ts";
import type { Caller, DoorServices } from "./services.ts";

/** Bytes of the forms that each sandbox has open. */
const held = new WeakMap<Caller, number>();

/**
 * A model call with a file in it. Its body is kept until its answer has ended, and is much larger than any other: all
 * of one sandbox together are bounded. A body that does not say its length counts as the largest.
 */
export async function formCall(
  services: DoorServices,
  caller: Caller,
  wire: WireName,
  request: HttpRequest,
  response: HttpResponse,
): Promise<void> {
  const { bodyBytesMax, heldBytesMax } = limits.sound;
  const said = bytesSaid(request) ?? bodyBytesMax;
  const bytes = said >= 0 && said <= bodyBytesMax ? said : bodyBytesMax;
  const before = held.get(caller) ?? 0;
  if (before + bytes > heldBytesMax) {
    const full = refusal(
      "rate_limited",
      `calls with more than ${heldBytesMax} bytes of sound are open`,
      "wait until one of them has ended",
    );
    await refuse(services, caller, full, "");
    return sendRefusal(response, full, wireFormats[wire].refusalBody(full));
  }
  held.set(caller, before + bytes);
  try {
    await modelCall(services, caller, { wire }, request, response);
  } finally {
    held.set(caller, (held.get(caller) ?? bytes) - bytes);
  }
}
