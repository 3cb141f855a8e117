import { webLimits } from "./web.ts";

const KiB = 1024;

/** What leaves the mesh: the web, credentials and where they come from. */
export const outward = {
  web: webLimits,
  credential: {
    valueBytesMin: 8,
    valueBytesMax: 16 * KiB,
    /** How long an older version is kept, to take it out of answers and to verify what was signed with it. */
    overlapMsDefault: 3_600_000,
    overlapMsMax: 2_592_000_000,
    expiryMsMax: 157_680_000_000,
    expiryWarningMs: 604_800_000,
    versionsKeptMax: 8,
    tendIntervalMs: 30_000,
    /** More uses in a minute than ever in one before, by so many times, and at least so many, are unusual. */
    unusualTimes: 10,
    unusualUsesMin: 60,
    /** From when on an hour of the day in which it was never used is unusual. */
    hoursLearntMs: 604_800_000,
    pairsMax: 100_000,
    destinationCharsMax: 264,
  },
  /** Servers that give out credentials: how long one may take, and how often it is asked. */
  source: {
    timeoutMs: 30_000,
    answerBytesMax: 256 * KiB,
    jsonDepthMax: 16,
    sourcesMax: 256,
    pauseMsMin: 1_000,
    pauseMsMax: 300_000,
    everyMsMin: 10_000,
    everyMsMax: 86_400_000,
    everyMsDefault: 300_000,
    loginsMax: 16,
    loginMs: 600_000,
    codeCharsMax: 4 * KiB,
  },
} as const;
