/**
 * Every limit of the border in one place, with its unit in its name. A limit that depends on
 * another is asserted at the end of this file, so that a careless edit does not load.
 */
const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  door: {
    headerBytesMax: 16 * KiB,
    headerCountMax: 64,
    urlBytesMax: 2 * KiB,
    /** Largest body of any door request; model calls carry whole conversations. */
    bodyBytesMax: 1 * MiB,
    toolBodyBytesMax: 256 * KiB,
    jsonDepthMax: 32,
    connectionsMax: 320,
    requestsConcurrentMax: 256,
    /** Token bucket a sandbox: `requestsBurst` at once, then `requestsPerSecond`. */
    requestsBurst: 512,
    requestsPerSecond: 64,
    /** Refusals of a sandbox that are recorded one by one: so many at once, then so many a second; the rest is counted. */
    denialsBurst: 512,
    denialsPerSecond: 4,
    denialsTellMs: 1_000,
    headTimeoutMs: 5_000,
    requestTimeoutMs: 30_000,
    inboxWaitMsMax: 25_000,
    keepAliveMs: 60_000,
  },
  model: {
    messagesMax: 512,
    outputTokensDefault: 1_024,
    outputTokensMax: 128_000,
    choicesMax: 8,
    toolsMax: 128,
    responseBytesMax: 16 * MiB,
    /** The last event of a Responses stream holds the whole answer, its first one the whole request. */
    eventBytesMax: 2 * MiB,
    firstByteTimeoutMs: 120_000,
    idleTimeoutMs: 60_000,
    totalTimeoutMs: 600_000,
    /** To one provider: more than a sandbox can hold open, so that none can keep the others waiting. */
    connectionsMax: 4_096,
    /** Prompt tokens a provider may add itself when tools are declared. */
    toolPreambleTokensMax: 1_024,
    imagesMax: 16,
    /** Pixels. */
    imageSidePixelsMax: 8_192,
    embeddingsMax: 2_048,
    /** Models that stand in for one another. */
    chainLinksMax: 8,
    credentialsPerProviderMax: 16,
    /** Attempts of one call, over all models and credentials. */
    attemptsMax: 8,
    /** Failures in a row of one model with one credential until calls go elsewhere, and for how long. */
    circuitFailures: 3,
    circuitOpenMs: 5_000,
    circuitOpenMsMax: 300_000,
    /** A provider's own `Retry-After` is believed up to here. */
    retryAfterMsMax: 3_600_000,
    circuitsMax: 10_000,
    /** Answers that are kept to be given again, of all agents together. */
    cacheBytesMax: 64 * MiB,
    cachedAnswerBytesMax: 1 * MiB,
    cacheTtlMsMax: 86_400_000,
  },
  /** When an agent is taken for one that runs away, if the fleet file says nothing else. */
  runaway: {
    identicalCallsDefault: 50,
    identicalCallsMin: 2,
    identicalCallsMax: 100_000,
    withinMsDefault: 300_000,
    withinMsMin: 1_000,
    withinMsMax: 86_400_000,
    /** Of the agent's own money of a day. */
    spendHundredthsDefault: 50,
    spendMicroDollarsMinDefault: 5_000_000,
    /** Bodies of calls that are told apart, of one agent. */
    bodiesKnownMax: 256,
  },
  /** Agents fill an inbox to a part of it only, so that people always get through. */
  message: { bodyBytesMax: 64 * KiB, inboxMessagesMax: 256, inboxFromAgentsMax: 192, leaseMs: 120_000, attemptsMax: 8 },
  board: {
    keyBytesMax: 256,
    keySegmentsMax: 12,
    valueBytesMax: 64 * KiB,
    ttlSecondsMax: 31_536_000,
    listRowsMax: 200,
    keysPerFleetMax: 100_000,
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
    /** Changes that one look of a watch passes over, so that a pattern that matches nothing keeps nobody waiting. */
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
  tool: {
    resultBytesMax: 512 * KiB,
    fileBytesMax: 256 * KiB,
    filesListMax: 500,
    outputBytesMax: 256 * KiB,
    outputFilesMax: 200,
    pathBytesMax: 512,
  },
  desk: {
    bodyBytesMax: 256 * KiB,
    connectionsMax: 64,
    waitMsMax: 25_000,
    logLinesMax: 2_000,
    execOutputBytesMax: 1 * MiB,
    execTimeoutMs: 60_000,
    answerBytesMax: 16 * MiB,
    answerTimeoutMs: 30_000,
    shutdownTimeoutMs: 30_000,
  },
  sandbox: {
    logBytesPerSecondMax: 64 * KiB,
    logBytesMax: 1 * MiB,
    logLineBytesMax: 8 * KiB,
    startTimeoutMs: 20_000,
    stopGraceMs: 2_000,
    restartsPerMinuteMax: 5,
    memoryBytesMin: 64 * MiB,
    diskBytesMin: 1 * MiB,
    openFilesMax: 1_024,
    tmpBytesMax: 64 * MiB,
    tmpFilesMax: 16_384,
    /** A whole core for so long after the start, then the sandbox's own share. */
    startBurstMs: 500,
    /** From the runtime's answer until the kernel must show the whole fence. */
    confirmTimeoutMs: 2_000,
    watchIntervalMs: 100,
    /** A sandbox that asks for more than its processor share for so long is told of. */
    throttledMs: 5_000,
    /** How long the kernel may take to let go of a stopped sandbox's processes, mounts and cgroups. */
    stopProofMs: 10_000,
    toolTimeoutMs: 60_000,
    idCharsMax: 60,
    commandWordsMax: 256,
    commandBytesMax: 64 * KiB,
    environmentNamesMax: 64,
    environmentValueBytesMax: 8 * KiB,
    /** Host UIDs (and GIDs) of one sandbox, and where the ranges of all sandboxes start and how many there are. */
    hostIdsPerSandbox: 2_048,
    hostIdFirst: 0x7000_0000,
    hostIdRangesMax: 1_000_000,
    probeTimeoutMs: 20_000,
    /** A root file system that no start has asked for in so long is removed from the cache. */
    rootfsIdleMs: 86_400_000,
  },
  /** The Model Context Protocol at the door; bodies are bounded as those of tools. */
  mcp: { idCharsMax: 128, methodCharsMax: 128, listTtlMs: 60_000 },
  /** Root file systems that are not ours: images, folders, packages. */
  rootfs: {
    layersMax: 128,
    /** Of all layers together, unpacked. */
    bytesMax: 16 * 1024 * MiB,
    fileBytesMax: 4 * 1024 * MiB,
    entriesMax: 1_000_000,
    /** Of one tar header's text, of one document of an image. */
    headerBytesMax: 4 * MiB,
    pathBytesMax: 4 * KiB,
    pathDepthMax: 128,
    packagesMax: 200,
    packagesTimeoutMs: 900_000,
    /** Nobody has asked for it in so long. */
    idleMs: 2_592_000_000,
  },
  /** The break-out suite: how long it waits and how much it takes. */
  assault: {
    templateCharsMax: 8 * KiB,
    addressesMax: 16,
    hostPortsMax: 64,
    attemptTimeoutMs: 5_000,
    /** A launcher may have to fetch an image first. */
    startTimeoutMs: 60_000,
    timeoutMs: 180_000,
    siblingLifetimeMs: 300_000,
    stopGraceMs: 5_000,
    linesMax: 1_000,
    lineCharsMax: 4 * KiB,
    /** Where a flood ends by itself when nothing stops it: more than a container is given, harmless to a machine. */
    floods: { processCount: 600, memoryBytesMax: 768 * MiB, diskBytesMax: 128 * MiB, descriptorsMax: 20_000 },
  },
  /** The Docker Engine API. */
  docker: { answerBytesMax: 8 * MiB, lastOutputMs: 1_000 },
  /** The scripted model of demos and tests, and its scenario files. */
  rehearsal: {
    scenarioBytesMax: 256 * KiB,
    /** A door body plus what the gateway splices in. */
    bodyBytesMax: 2 * MiB,
    connectionsMax: 1_024,
    rulesMax: 256,
    templateCharsMax: 8 * KiB,
    callsParallelMax: 64,
    countTokensMax: 200_000,
    paceMsMax: 10_000,
    stallMsMax: 600_000,
    extractCharsMax: 64 * KiB,
    extractSentencesMax: 600,
    notesRememberedMax: 512,
    closeGraceMs: 1_000,
  },
  /** What the built-in agent bounds by itself; the mesh does not rely on any of it. */
  agent: {
    roundsMax: 32,
    toolCallsMax: 64,
    toolCallsConcurrentMax: 4,
    outputTokensMax: 4_096,
    answerBytesMax: 1 * MiB,
    toolContentBytesMax: 320 * KiB,
    historyBytesMax: 768 * KiB,
    historyMessagesMax: 384,
    sessionsMax: 256,
    dataFilesMax: 500,
    /** Answers to other agents in one conversation, so that two agents cannot talk in circles for ever. */
    answersPerConversationMax: 16,
    attemptsMax: 5,
    backOffMsMin: 100,
    backOffMsMax: 10_000,
    relayConnectionsMax: 128,
    relayIdleMs: 660_000,
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
    mapItemsMax: 10_000,
    mapItemsDefault: 100,
    attemptsMax: 20,
    traceSpansMax: 20_000,
    /** What a person adds to a budget at once. */
    raiseTokensMax: 1_000_000_000_000,
    raiseMicroUsdMax: 1_000_000_000_000,
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
  web: {
    authorityCharsMax: 264,
    ruleCharsMax: 512,
    rulesPerAgentMax: 500,
    methodsPerRuleMax: 16,
    pathsPerRuleMax: 64,
    pathPatternCharsMax: 256,
    bindingsPerCredentialMax: 64,
    resolveTimeoutMs: 5_000,
    /** What a resolver said is used again for so long. */
    nameCachedMs: 30_000,
    namesCachedMax: 1_000,
    addressesDialledMax: 4,
    dialTimeoutMs: 10_000,
    clientHelloBytesMax: 16 * KiB,
    /** From CONNECT until the first message in the tunnel is whole, and until TLS stands. */
    helloTimeoutMs: 10_000,
    leavesPerSandboxMax: 256,
    headerCountMax: 128,
    targetBytesMax: 8 * KiB,
    requestsConcurrentMax: 256,
    requestsBurst: 1_024,
    requestsPerSecond: 128,
    streamsPerConnectionMax: 100,
    /** A body into which a credential is put, or that is signed, is held whole. */
    bodyHeldBytesMax: 1 * MiB,
    /** Of a body of unknown length so much is reserved at a time. */
    bodySliceBytes: 256 * KiB,
    firstByteTimeoutMs: 300_000,
    idleTimeoutMs: 300_000,
    connectionsPerPlaceMax: 32,
    placesPerSandboxMax: 64,
    /** Shorter than servers keep a connection that nobody uses. */
    keepAliveMs: 4_000,
    answerHeaderBytesMax: 64 * KiB,
    frameBytesMax: 1 * MiB,
  },
  store: {
    /** Beyond it the disk has stopped keeping up, and the store fails. */
    commitsWaitingMax: 200_000,
    busyTimeoutMs: 5_000,
    walBytesMax: 64 * MiB,
    /** Of 4 KiB, in the log before it is copied back. */
    checkpointPagesMin: 4_096,
    /** Of each of the two connections. */
    cacheBytesMax: 48 * MiB,
    /** Up to this size every page is checked at each start; above it the tables that grow without end are left out. */
    fullCheckBytesMax: 256 * MiB,
  },
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
  /** How often idle agents are looked for, when they are idle while others wait for room, and how many wake at once. */
  hibernation: {
    afterMsMin: 1_000,
    afterMsMax: 604_800_000,
    lookMs: 1_000,
    pressedLookMs: 100,
    pressedIdleMs: 500,
    wakingMax: 2,
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
  audit: { detailBytesMax: 16 * KiB, checkpointRecordsMax: 1_000, checkpointIntervalMs: 5_000 },
  ledger: {
    /** Fleet, teams, agent; run, map and item of each workflow in a workflow. */
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
    overridesShownMax: 500,
  },
  name: { charsMax: 40 },
  fleet: { agentsMax: 10_000, fileBytesMax: 1 * MiB, instructionsBytesMax: 64 * KiB },
} as const;

const holds: readonly (readonly [boolean, string])[] = [
  [limits.door.toolBodyBytesMax <= limits.door.bodyBytesMax, "toolBodyBytesMax <= bodyBytesMax"],
  [limits.board.valueBytesMax < limits.door.toolBodyBytesMax, "board value fits a tool body"],
  [limits.message.bodyBytesMax < limits.door.toolBodyBytesMax, "message fits a tool body"],
  [limits.tool.outputBytesMax <= limits.door.toolBodyBytesMax, "output fits a tool body"],
  [limits.door.inboxWaitMsMax < limits.door.requestTimeoutMs, "an inbox wait ends before its request does"],
  [limits.door.requestsConcurrentMax <= limits.door.connectionsMax, "a request has a connection"],
  [limits.door.requestsConcurrentMax < limits.model.connectionsMax, "no sandbox holds every connection to a provider"],
  [limits.message.inboxFromAgentsMax < limits.message.inboxMessagesMax, "people get through to a full inbox"],
  [limits.tool.fileBytesMax <= limits.tool.resultBytesMax, "a file fits a tool result"],
  [limits.tool.fileBytesMax < limits.agent.toolContentBytesMax, "a file fits what the agent shows its model"],
  [
    limits.agent.historyBytesMax + 2 * limits.fleet.instructionsBytesMax < limits.door.bodyBytesMax,
    "history and instructions fit a model call",
  ],
  [limits.agent.historyMessagesMax < limits.model.messagesMax, "history fits a model call"],
  [limits.agent.relayIdleMs > limits.model.totalTimeoutMs, "the relay outlives a model call"],
  [limits.ledger.priceFileBytesMax < limits.desk.bodyBytesMax, "a list of prices fits a request to the desk"],
  [limits.hook.bodyBytesMax * 2 < limits.desk.bodyBytesMax, "a webhook fits a request to the desk, also in base64"],
  [limits.hook.deliveryKeptMs > 2 * limits.hook.windowMsMax, "a delivery is remembered beyond its window"],
  [limits.hook.bodyBytesMax < limits.message.bodyBytesMax, "a webhook fits a message"],
  [
    limits.schedule.intervalMsMin * limits.schedule.firingsPerDayMax >= 86_400_000,
    "one job of the shortest interval is allowed",
  ],
  [limits.topic.leasedMessagesMax <= limits.topic.windowMessagesMax, "what is taken fits the window"],
  [limits.topic.windowMessagesMax < limits.topic.messagesMax, "the window fits the log"],
  [limits.workflow.stepTimeoutMsDefault <= limits.workflow.runTimeoutMsDefault, "a run outlives one attempt"],
  [limits.workflow.mapItemsDefault <= limits.workflow.mapItemsMax, "the default of map items is allowed"],
  [limits.door.bodyBytesMax < limits.rehearsal.bodyBytesMax, "a door body fits the rehearsal model"],
  [
    limits.assault.siblingLifetimeMs > limits.assault.timeoutMs + limits.assault.startTimeoutMs,
    "the sibling outlives the attempts",
  ],
];
for (const [held, relation] of holds) if (!held) throw new Error(`limits contradict each other: ${relation}`);
