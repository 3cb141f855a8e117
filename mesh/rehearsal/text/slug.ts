import { createHash } from "node:crypto";

const CHARS_MAX = 72;

/**
 * A file path as one segment of a board key: lower case, `[a-z0-9._-]`. A path that loses characters
 * on the way gets eight hexadecimal digits of its SHA-256, so that different paths stay different.
 */
export function slug(path: string): string {
  const plain = path
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[-.]+/, "")
    .slice(0, CHARS_MAX);
  if (plain === path) return plain;
  const mark = createHash("sha256").update(path).digest("hex").slice(0, 8);
  return plain === "" ? `text-${mark}` : `${plain}-${mark}`;
}
