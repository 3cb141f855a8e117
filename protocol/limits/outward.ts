import { webLimits } from "./web.ts";

const KiB = 1024;
const MiB = 1024 * KiB;

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
  /** The broker for git over SSH. */
  git: {
    repositoriesMax: 64,
    hostKeysMax: 8,
    refGlobsMax: 64,
    /** Of one sandbox at a time. */
    sessionsMax: 8,
    sessionsBurst: 128,
    sessionsPerMinute: 240,
    /** The words that a client calls `ssh` with. */
    openingBytesMax: 16 * KiB,
    openingWordsMax: 32,
    openingTimeoutMs: 10_000,
    connectTimeoutMs: 20_000,
    keyTimeoutMs: 30_000,
    /** Key exchanges of one connection: a server that asks for more wants to be computed for. */
    keyExchangesMax: 16,
    bcryptRoundsMax: 256,
    /** One line of a push, all lines that are not its pack, and the refs that they name. */
    lineBytesMax: 2 * KiB,
    commandBytesMax: 256 * KiB,
    refsPerPushMax: 256,
    /** Of the evidence of one push. */
    toldBytesMax: 8 * KiB,
    /** What is held of a pack until it is seen what its commits follow from, and as much of what it unpacks to. */
    historyBytesMax: 8 * MiB,
    commitBytesMax: 64 * KiB,
    /** And tags. */
    commitsMax: 10_000,
    deltaDepthMax: 64,
    /** Looks at a commit of which not all had come. */
    incompleteLooksMax: 256,
    /** So much is reserved at a time. */
    pushSliceBytes: 256 * KiB,
    fetchSliceBytes: 4 * KiB,
    pieceBytes: 64 * KiB,
    sentBytesMax: 1_024 * MiB,
    receivedBytesMax: 4_096 * MiB,
    /** Of the server's own words. */
    errorBytesMax: 64 * KiB,
    /** Nothing has moved for so long: servers that compute say so every few seconds. */
    stallMs: 120_000,
    sessionMsMax: 3_600_000,
    lingerMs: 1_000,
  },
  /** The broker for databases. */
  postgres: {
    databasesMax: 64,
    /** Of one sandbox. */
    connectionsMax: 16,
    /** The first message of a client. */
    startupBytesMax: 8 * KiB,
    startupSettingsMax: 16,
    startupTimeoutMs: 10_000,
    scramRoundsMax: 1_000_000,
    /** One message of a client, and one of a server: the longest row. */
    messageBytesMax: 1 * MiB,
    answerBytesMax: 8 * MiB,
    /** Messages that wait for their Sync. */
    batchBytesMax: 2 * MiB,
    /** Of a COPY so much is reserved at a time. */
    copySliceBytes: 256 * KiB,
    sentBytesMax: 1_024 * MiB,
    receivedBytesMax: 4_096 * MiB,
    statementsBurst: 1_024,
    statementsPerSecond: 256,
    /** Prepared statements, and portals, of one session. */
    namesMax: 1_000,
    idleTimeoutMs: 1_800_000,
    lingerMs: 1_000,
  },
} as const;
