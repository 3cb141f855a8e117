import { open } from "node:fs/promises";
import { relative } from "node:path";
import type { MeshEvent } from "../../../protocol/desk.ts";
import type { Desk } from "../desk-client.ts";
import type { CanarySearch } from "./canary.ts";
import { readAudit, searchShown, type Evidence } from "./evidence.ts";
import type { Honeypots } from "./honeypots.ts";
import { filesBelow } from "./files-below.ts";
import type { HostFile } from "./host-file.ts";
import type { HoneypotFinding } from "./report.ts";

/** Asks the mesh and the traps for everything, while the mesh still runs. */
export async function gather(
  desk: Desk,
  events: readonly MeshEvent[],
  honeypotsBefore: readonly HoneypotFinding[],
  traps: { readonly honeypots: Honeypots; readonly hostFile: HostFile },
  search: CanarySearch,
): Promise<Evidence> {
  const hostFile = await traps.hostFile.inspect();
  const after = await traps.honeypots.findings();
  const asked = {
    status: await desk.status(),
    costs: await desk.costs(),
    audit: await readAudit(desk),
    auditVerdict: await desk.verifyAudit(),
    board: (await desk.board("**")).rows,
    events,
  };
  await searchShown(search, desk, asked);
  // Awake means awake from the beginning to the end.
  const honeypots = after.map((one, i) => ({ ...one, awake: one.awake && honeypotsBefore[i]?.awake === true }));
  return { ...asked, honeypots, hostFile };
}

const CHUNK_BYTES = 1024 * 1024;
/** Longer than any form of a canary, so that none is missed between two chunks. */
const OVERLAP_BYTES = 256;
const BYTES_MAX = 1024 * 1024 * 1024;

/** Every regular file below the folders, the volumes of the agents among them. */
export async function searchFilesOf(search: CanarySearch, ...folders: readonly string[]): Promise<void> {
  let left = BYTES_MAX;
  for (const folder of folders) {
    for await (const path of filesBelow(folder)) {
      left -= await searchFile(search, path, `file ${relative(folder, path)}`, left);
    }
  }
}

async function searchFile(search: CanarySearch, path: string, place: string, bytesMax: number): Promise<number> {
  const file = await open(path, "r");
  try {
    let read = 0;
    let tail = Buffer.alloc(0);
    search.placesSearched++;
    for (;;) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, read);
      if (bytesRead === 0 || read >= bytesMax) return read;
      read += bytesRead;
      const content = Buffer.concat([tail, buffer.subarray(0, bytesRead)]);
      search.lookAgain(place, content, bytesRead);
      tail = content.subarray(-OVERLAP_BYTES);
    }
  } finally {
    await file.close();
  }
}
