const KiB = 1024;
const MiB = 1024 * KiB;

/** Limits of the way to the web: `limits.web` in limits.ts. */
export const webLimits = {
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
  /** Names that the mesh asks a resolver for on behalf of one sandbox: each could carry data outward. */
  namesAskedBurst: 256,
  namesAskedPerSecond: 1,
  namesAskedConcurrentMax: 2,
  addressesDialledMax: 4,
  dialTimeoutMs: 10_000,
  clientHelloBytesMax: 16 * KiB,
  /** From CONNECT until the first message in the tunnel is whole, and until TLS stands. */
  helloTimeoutMs: 10_000,
  /** How often a session of HTTP/2 is asked whether it stands. */
  sessionWatchedMs: 5_000,
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
} as const;
