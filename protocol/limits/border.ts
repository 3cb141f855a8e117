const KiB = 1024;
const MiB = 1024 * 1024;

/** What a request at the door or the desk may be, and what an answer. */
export const border = {
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
    /** Of the event loop, for bodies of a sandbox that take more than a turn to read: what they take is charged to the bucket. */
    longReadsShareMax: 0.1,
    /** Of memory, for the bodies of a sandbox and the calls that are made of them, until each has its answer. */
    bodiesBytesMax: 64 * MiB,
    /** What others cannot take from a sandbox, and what all have together beyond that. */
    bodiesOwnBytes: 8 * MiB,
    bodiesSharedBytesMax: 256 * MiB,
    /** Refusals of a sandbox that are recorded one by one: so many at once, then so many a second; the rest is counted. */
    denialsBurst: 512,
    denialsPerSecond: 4,
    denialsTellMs: 1_000,
    headTimeoutMs: 5_000,
    requestTimeoutMs: 30_000,
    /** Of answers that a sandbox has asked for and does not read: beyond it, it is given no others. */
    unreadBytesMax: 32 * MiB,
    inboxWaitMsMax: 25_000,
    keepAliveMs: 60_000,
  },
  /** HTTP/1.1 as the mesh speaks it itself, on either side. */
  http: {
    /** Of an answer: a request's are `door.headerCountMax`. */
    fieldsMax: 128,
    /** The size of a chunk with its extensions. */
    chunkLineBytesMax: 256,
    /** Answers of 1xx before the real one. */
    interimAnswersMax: 8,
    /** What a client sends before it has its answer, until nothing more is read. */
    heldBytesMax: 64 * KiB,
    connectMs: 10_000,
    /** How long a connection to a provider is kept if it does not say how long it keeps it. */
    idleMs: 4_000,
    idleMsMax: 600_000,
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
    /** A provider that reports more of one kind for one call is not believed. */
    reportedTokensMax: 1_000_000_000,
    imagesMax: 16,
    /** Pixels. */
    imageSidePixelsMax: 8_192,
    embeddingsMax: 2_048,
    /** Of an answer with pictures, which passes in pieces: eight of the largest, as base64 of what does not compress. */
    drawnAnswerBytesMax: 96 * MiB,
    /** Until such an answer begins. */
    drawTimeoutMs: 300_000,
    /** Of the report in such an answer. */
    usageBytesMax: 4 * KiB,
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
  /** Sound that a model is to hear, in a form (multipart/form-data). */
  sound: {
    bodyBytesMax: 8 * MiB,
    /** The same as it is sent on, where each sample has three bytes instead of two. */
    sentBytesMax: 13 * MiB,
    partsMax: 16,
    partHeadBytesMax: 1 * KiB,
    fieldBytesMax: 8 * KiB,
    samplesPerTurnMax: 32_768,
    /** What a provider reports of one call and is believed, in seconds. */
    reportedSecondsMax: 1_000_000,
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
  tool: {
    resultBytesMax: 512 * KiB,
    fileBytesMax: 256 * KiB,
    filesListMax: 500,
    outputBytesMax: 256 * KiB,
    outputFilesMax: 200,
    pathBytesMax: 512,
  },
  /** The Model Context Protocol at the door; bodies are bounded as those of tools. */
  mcp: { idCharsMax: 128, methodCharsMax: 128, listTtlMs: 60_000 },
  desk: {
    bodyBytesMax: 256 * KiB,
    connectionsMax: 64,
    waitMsMax: 25_000,
    logLinesMax: 2_000,
    eventsKeptMax: 5_000,
    execOutputBytesMax: 1 * MiB,
    execTimeoutMs: 60_000,
    answerBytesMax: 16 * MiB,
    answerTimeoutMs: 30_000,
    shutdownTimeoutMs: 30_000,
  },
  name: { charsMax: 40 },
  fleet: { agentsMax: 10_000, fileBytesMax: 1 * MiB, instructionsBytesMax: 64 * KiB, certificatesBytesMax: 1 * MiB },
} as const;
