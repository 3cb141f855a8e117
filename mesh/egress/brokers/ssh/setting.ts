/** A git repository behind SSH that agents may use without a key: which one, and as whom, is fixed here, not by them. */
export interface RepositorySetting {
  /** What the fleet file calls it. */
  readonly name: string;
  /** In lower case, or an address. */
  readonly host: string;
  readonly port: number;
  /** Whom the server knows the key as. */
  readonly user: string;
  /** As it is said to the server; without quotes, spaces and `..`. */
  readonly path: string;
  /** The very address to dial, whatever a resolver says; null = a public one that the host resolves to. */
  readonly address: string | null;
  /** At least one. */
  readonly hostKeys: readonly HostKeyPin[];
  /** Name of the private key in the vault. */
  readonly key: string;
  /** Name of its passphrase there; null = it has none. */
  readonly passphrase: string | null;
  /** Null: nothing is pushed. */
  readonly push: PushRule | null;
}

/** A key of a server that is believed. */
export interface HostKeyPin {
  /** Of the key in its wire form (RFC 4253 §6.6), in base64 without padding. */
  readonly sha256: string;
  /** Such as `ssh-ed25519`; null = the fingerprint alone is known. */
  readonly type: HostKeyType | null;
}

export const hostKeyTypes = ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"] as const;
export type HostKeyType = (typeof hostKeyTypes)[number];

/** What may be pushed. */
export interface PushRule {
  /** Globs of whole names: `refs/heads/agent/**`. */
  readonly refs: readonly string[];
  /** A ref may be deleted. */
  readonly mayDelete: boolean;
  /** A ref may be set to what does not follow from what it was. */
  readonly mayForce: boolean;
}

/** What a client calls the server for. */
export type GitService = "git-upload-pack" | "git-receive-pack";
