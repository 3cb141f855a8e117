import { getCACertificates } from "node:tls";

/** Options of TLS that trust `ca`, certificates in PEM, besides the system's authorities; to name only one would be instead of them. */
export const trusting = (ca: string | null): { readonly ca?: string[] } =>
  ca === null ? {} : { ca: [...getCACertificates("default"), ca] };
