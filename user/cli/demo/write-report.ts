import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { shorten } from "../../../lib/text.ts";
import { noteOutput } from "./output-folder.ts";
import { renderHtml } from "./report-html.ts";
import type { DemoReport } from "./report.ts";
import { DIGEST } from "./watch.ts";

const DIGEST_CHARS_MAX = 200_000;

/** Writes report.json and report.html into the output folder; returns all files that are there then. */
export async function writeReport(report: DemoReport, folder: string): Promise<DemoReport["files"]> {
  const digest = await readFile(join(folder, DIGEST), "utf8").catch(() => "");
  await writeFile(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(folder, "report.html"), renderHtml(report, shorten(digest, DIGEST_CHARS_MAX)));
  return noteOutput(folder);
}
