import { z } from "zod";

/** Integrity levels from high to low; a join takes the lowest. */
export const integrityLevels = ["system", "user", "directory", "attested", "generated", "untrusted"] as const;
/** Confidentiality levels from low to high; a join takes the highest. */
export const confidentialityLevels = ["public", "internal", "private", "secret"] as const;

/** What is known of the provenance of a value: travels with every message, board entry and result. */
export const Label = z.strictObject({
  integrity: z.enum(integrityLevels),
  confidentiality: z.enum(confidentialityLevels),
  /** Where it came from: `agent:NAME`, `principal:NAME`, `file:PATH`. Sorted, without repetition. */
  sources: z.array(z.string().max(256)).max(64),
});
export type Label = z.infer<typeof Label>;

/** The label of anything that carries none. */
export const unlabelled: Label = { integrity: "untrusted", confidentiality: "internal", sources: [] };

/** Lowest integrity, highest confidentiality, union of sources. */
export function joinLabels(a: Label, b: Label): Label {
  const lower = Math.max(integrityLevels.indexOf(a.integrity), integrityLevels.indexOf(b.integrity));
  const higher = Math.max(
    confidentialityLevels.indexOf(a.confidentiality),
    confidentialityLevels.indexOf(b.confidentiality),
  );
  return {
    integrity: integrityLevels[lower] ?? "untrusted",
    confidentiality: confidentialityLevels[higher] ?? "secret",
    sources: [...new Set([...a.sources, ...b.sources])].sort().slice(0, 64),
  };
}
