const KiB = 1024;
const MiB = 1024 * 1024;

/** Sandboxes, what they are made of, and what runs in them. */
export const sandboxes = {
  sandbox: {
    logBytesPerSecondMax: 64 * KiB,
    logBytesMax: 1 * MiB,
    logLineBytesMax: 8 * KiB,
    startTimeoutMs: 20_000,
    stopGraceMs: 2_000,
    restartsPerMinuteMax: 5,
    /** Pauses after a start that failed: each twice the one before it. */
    startAgainMinMs: 1_000,
    startAgainMaxMs: 60_000,
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
    /**
     * Refused system calls that somebody is told of: how many are answered at once and in a second, of one sandbox and of all, the rest
     * having to wait; how many kinds are told apart in a window, and how long that is.
     */
    deniedCallsBurst: 256,
    deniedCallsPerSecond: 20,
    deniedCallsOfAllBurst: 2_000,
    deniedCallsOfAllPerSecond: 2_000,
    deniedKindsMax: 16,
    deniedWindowMs: 10_000,
    /** How long the watcher over them may take to begin, and to know of one sandbox more or less. */
    deniedWatcherMs: 10_000,
    /** How long the kernel may take to let go of a stopped sandbox's processes, mounts and cgroups. */
    stopProofMs: 30_000,
    /** Sandboxes that are taken apart at the same time; others that have ended wait for their turn. */
    removalsAtOnceMax: 8,
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
    /** Of the process that serves /data to an ordinary user's sandbox. */
    dataServerMemoryBytes: 64 * MiB,
    dataServerTasksMax: 8,
    probeTimeoutMs: 20_000,
    /** Token bucket of connections to its door: more than of requests, so that who asks too often is told. */
    doorConnectionsBurst: 640,
    doorConnectionsPerSecond: 128,
    /** A root file system that no start has asked for in so long is removed from the cache. */
    rootfsIdleMs: 86_400_000,
  },
  /** How often idle agents are looked for, when they are idle while others wait for room, and how many wake at once. */
  hibernation: {
    afterMsMin: 1_000,
    afterMsMax: 604_800_000,
    lookMs: 1_000,
    pressedLookMs: 100,
    pressedIdleMs: 500,
    agentsWakingMax: 2,
    /** So many that wait are a storm; the longest rest after each that it wakes. */
    stormAgentsMin: 8,
    restMsMax: 600,
    /** How late the mesh may be for a turn in a storm before it rests longer, by which factor at most, and how often that is looked at. */
    lateMsMax: 5,
    restTimesMax: 3,
    turnMs: 10,
  },
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
    /** Folders on the way to one file, those of the links that it goes through with them. */
    stepsMax: 1_024,
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
  },
  /** The Docker Engine API. */
  docker: {
    answerBytesMax: 8 * MiB,
    lastOutputMs: 1_000,
    /** Of the relay of one door, where it has one: its container, and the folder that holds the door's socket. */
    relayMemoryBytes: 128 * MiB,
    relayTasksMax: 32,
    relayFolderBytesMax: 64 * KiB,
    relayFolderFilesMax: 8,
    /** Bytes that wait in one direction of one connection to the door; of an answer to its orders. */
    relayStreamBytesMax: 32 * KiB,
    relayAnswerBytesMax: 4 * KiB,
    /** At its port: connections at once and a second, how long each has to show its key, and a relay to be linked. */
    relayConnectionsMax: 8,
    relayConnectionsBurst: 32,
    relayConnectionsPerSecond: 4,
    relayHandshakeMs: 5_000,
    relayLinkMs: 15_000,
    /** Refused connections are told of at once, then together. */
    relayRefusedWindowMs: 10_000,
    /** A relay that ends while its sandbox runs is replaced so often in a minute; then the sandbox is ended. */
    relayRestartsPerMinuteMax: 3,
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
    /** The built-in agent itself does not use its relay. */
    relayDelayMs: 1_000,
    relayConnectionsMax: 128,
    relayIdleMs: 660_000,
  },
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
} as const;
