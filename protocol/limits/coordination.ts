const KiB = 1024;

/** Messages, the board, topics, tasks, workflows, schedules, webhooks. */
export const coordination = {
  /** Agents fill an inbox to a part of it only, so that people always get through. */
  message: { bodyBytesMax: 64 * KiB, inboxMessagesMax: 256, inboxFromAgentsMax: 192, leaseMs: 120_000, attemptsMax: 4 },
  board: {
    keyBytesMax: 256,
    keySegmentsMax: 12,
    valueBytesMax: 64 * KiB,
    ttlSecondsMax: 31_536_000,
    listRowsMax: 200,
    keysPerFleetMax: 100_000,
    /** Of those, made by one writer: nobody alone fills the board for all. */
    keysPerWriterMax: 75_000,
    /** History kept of a key that is not append-only. */
    versionsPerKeyMax: 1_000,
    /** So many beyond it may lie on the disk for a while; nobody is shown them. */
    versionsTrimmedMin: 100,
    /** Keys whose newest version is known without asking the store. */
    headsKnownMax: 50_000,
    historyRowsMax: 100,
    appendOnlyPatternsMax: 100,
    watchesPerReaderMax: 64,
    watchRowsMax: 200,
    cursorCharsMax: 64,
    /** Changes that one look passes over to tell whether there is something new. */
    watchScanRowsMax: 5_000,
  },
  task: {
    titleCharsMax: 200,
    inputBytesMax: 32 * KiB,
    resultBytesMax: 32 * KiB,
    noteCharsMax: 500,
    /** Tasks made in the course of tasks. */
    depthMax: 8,
    /** Hand-offs of one task. */
    hopsMax: 8,
    openTasksMax: 10_000,
    /** Given to one agent, and made by one agent. */
    tasksPerAgentMax: 64,
    listTasksMax: 200,
    /** Where its creator sets none. */
    deadlineMs: 86_400_000,
    deadlineSecondsMax: 2_592_000,
    /** Without a word from its assignee. */
    stallMs: 600_000,
    /** After a task has left an agent's hands, what the agent does still counts as done in its course. */
    lineageMs: 60_000,
  },
  topic: {
    topicsMax: 10_000,
    /** Of those, begun by one: nobody alone fills the bus for all. */
    topicsPerSenderMax: 7_500,
    /** Log of one topic: what is older is dropped, and told to who had not taken it. */
    messagesMax: 10_000,
    messagesTrimmedMin: 1_000,
    /** On their way to the disk, of one topic. */
    messagesPendingMax: 1_024,
    ttlSecondsMax: 2_592_000,
    dedupeKeyCharsMax: 128,
    dedupeMs: 600_000,
    subscriptionsPerTopicMax: 1_000,
    pullMessagesMax: 50,
    /** Taken and not settled, of one subscription. */
    leasedMessagesMax: 200,
    /** Between the oldest message that is not settled and the newest that was taken. */
    windowMessagesMax: 1_000,
    leaseMs: 60_000,
    attemptsMax: 5,
    reasonCharsMax: 200,
    replySecondsMax: 3_600,
    repliesMax: 64,
  },
  workflow: {
    /** Of one step, as JSON. */
    outputBytesMax: 256 * KiB,
    inputBytesMax: 128 * KiB,
    /** Works under way at the same moment over all runs; waits, approvals and maps do not count. */
    worksConcurrentMax: 256,
    runsOpenMax: 10_000,
    runsListMax: 200,
    fileBytesMax: 256 * KiB,
    stepsMax: 500,
    needsMax: 500,
    /** Workflows that run workflows. */
    nestingDepthMax: 4,
    /** Those that one runs, at any depth, each as often as a step names it, and the bytes of their files together. */
    nestedFilesMax: 64,
    nestedBytesMax: 1024 * KiB,
    mapItemsMax: 10_000,
    mapItemsDefault: 100,
    attemptsMax: 20,
    traceSpansMax: 20_000,
    /** What a person adds to a budget at once. */
    raiseTokensMax: 1_000_000_000_000,
    raiseUsdMicrosMax: 1_000_000_000_000,
    backOffMsDefault: 1_000,
    backOffMsMax: 3_600_000,
    stepTimeoutMsDefault: 600_000,
    runTimeoutMsDefault: 86_400_000,
    timeoutMsMax: 31_536_000_000,
    expressionCharsMax: 32 * KiB,
    expressionHolesMax: 64,
    referenceCharsMax: 512,
    conditionCharsMax: 1_000,
    conditionDepthMax: 12,
    /** JSON values that one condition may look at. */
    conditionValuesMax: 4_096,
    schemaNodesMax: 500,
    schemaDepthMax: 12,
    patternCharsMax: 200,
  },
  schedule: {
    jobsMax: 1_000,
    cronCharsMax: 200,
    /** Begun in one turn of the event loop. */
    jobsPerTurnMax: 16,
    intervalMsMin: 10_000,
    /** Of all jobs together. */
    firingsPerDayMax: 20_000,
    jitterMsMax: 3_600_000,
    /** How far ahead a tick is looked for: beyond the longest pause between two 29 February. */
    horizonMs: 284_000_000_000,
    /** The end of the year 2099. */
    atMsMax: 4_102_444_800_000,
    /** Later than that, a tick counts as missed. */
    lateMsMax: 60_000,
    /** Missed ticks that are made up for; of more, the oldest are left out. */
    ticksCaughtUpMax: 100,
    /** Of the address that a probe looks at. */
    urlTimeoutMs: 5_000,
    urlBytesMax: 256 * KiB,
    ticksKeptMs: 2_592_000_000,
    pauseMsMin: 10,
    pauseMsMax: 15_000,
  },
  hook: {
    hooksMax: 200,
    bodyBytesMax: 48 * KiB,
    headerBytesMax: 2 * KiB,
    windowMsMin: 1_000,
    windowMsMax: 3_600_000,
    windowMsDefault: 300_000,
    deliveriesPerMinuteMax: 6_000,
    deliveriesPerMinuteDefault: 60,
    signaturesMax: 8,
    schemaBytesMax: 64 * KiB,
    /** How long a delivery with a signed time is remembered: longer than senders repeat it. */
    deliveryKeptMs: 259_200_000,
    /** Of one address at the listener. */
    requestsPerSecond: 20,
    requestsBurst: 60,
    addressesMax: 10_000,
    connectionsMax: 256,
    requestsConcurrentMax: 32,
    requestTimeoutMs: 10_000,
  },
} as const;
