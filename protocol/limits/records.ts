const KiB = 1024;
const MiB = 1024 * 1024;

/** What is kept: the store, the evidence, the books. */
export const records = {
  store: {
    /** Beyond it the disk has stopped keeping up, and the store fails. */
    commitsWaitingMax: 200_000,
    /** So long does what nobody waits for wait for the company of something else. */
    commitLaterMs: 5,
    /** Turns of the event loop that bring nobody new, after which a transaction waits for no more company; and in all. */
    gatherStillTurnsMax: 3,
    gatherMsMax: 1,
    /** So many that waited for one transaction go on in two halves, and fill the next one while one is written. */
    crowdCommitsMin: 128,
    /** Of text, by which a message to the writer is full: a transaction may take several. */
    messageCharsMax: 16 * MiB,
    busyTimeoutMs: 5_000,
    /** What agents cannot fill of the disk, so that the mesh goes on; of a small disk so many hundredths, if that is less. */
    freeBytesMin: 512 * MiB,
    freeHundredthsMin: 5,
    spaceLookMs: 500,
    walBytesMax: 64 * MiB,
    /** Of 4 KiB, in the log before it is copied back. */
    checkpointPagesMin: 4_096,
    /** After so many transactions it is looked how long the log is: the largest of them do not double it. */
    logLookTransactions: 8,
    /** A log that has come to this size belongs to a state that is in use. */
    logGrownFromBytes: MiB,
    /** Of each of the two connections. */
    cacheBytesMax: 48 * MiB,
    /** Up to this size every page is checked at each start; above it the tables that grow without end are left out. */
    fullCheckBytesMax: 256 * MiB,
  },
  audit: {
    detailBytesMax: 16 * KiB,
    checkpointRecordsMax: 1_000,
    checkpointIntervalMs: 5_000,
    /** Of records that are stored as one row; the last of them may go beyond. */
    segmentCharsMax: MiB,
  },
  ledger: {
    /** Fleet, teams, tenant, agent; run, map and item of each workflow in a workflow. */
    scopesMax: 32,
    scopeCharsMax: 128,
    modelCharsMax: 256,
    rollingWindowsMax: 4,
    rollingSpanMsMin: 60_000,
    rollingSpanMsMax: 31 * 86_400_000,
    destinationsMax: 64,
    teamsPerAgentMax: 4,
    /** A list of prices that an operator brings in; as JSON without white space. */
    priceFileBytesMax: 192 * KiB,
    priceFileModelsMax: 2_000,
    priceTiersMax: 8,
    /** Of one view of what was spent on each day. */
    spendingRowsMax: 40_000,
    /** Operations, and their age, by which the tables may be behind the journal: who reads adds them up. */
    journalOpsMax: 4_096,
    journalMsMax: 10_000,
    /** Forms of operations that are found at once, of one list of scopes; and all that are found by their text. */
    formsOfScopesMax: 32,
    formsMax: 4_096,
    overridesShownMax: 500,
  },
} as const;
