/** A database that agents may use without a password: who they are there is fixed here, not by them. */
export interface DatabaseSetting {
  /** What agents call it, in the place of the database's own name. */
  readonly name: string;
  /** In lower case, or an address. */
  readonly host: string;
  readonly port: number;
  /** The very address to dial, whatever a resolver says; null = a public one that the host resolves to. */
  readonly address: string | null;
  readonly database: string;
  readonly role: string;
  /** Name of the role's password in the vault. */
  readonly credential: string;
  readonly readOnly: boolean;
  /** Off is for a server on the mesh host itself. */
  readonly tls: "verify-full" | "off";
  /** Certificates in PEM, trusted in the place of the well-known ones; null = those. */
  readonly ca: string | null;
  /** The only way of logging in that is taken. */
  readonly auth: "scram" | "md5";
}
