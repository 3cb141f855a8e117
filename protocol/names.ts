import { z } from "zod";
import { limits } from "./limits.ts";

/** An agent, credential, provider or fleet: lower-case letters, digits and single hyphens, starting with a letter. */
export const Name = z
  .string()
  .max(limits.name.charsMax)
  .regex(
    /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/,
    "must be lower-case letters, digits and single hyphens, starting with a letter",
  );

/** A blackboard key: `/`-separated segments of letters, digits, `.`, `_`, `-`; no empty, `.` or `..` segment. */
export const BoardKey = z
  .string()
  .min(1)
  .max(limits.board.keyBytesMax)
  .refine(
    (key) => isBoardPath(key, /^[A-Za-z0-9._-]+$/),
    "must be `/`-separated segments of letters, digits, `.`, `_` and `-`, none of them `.` or `..`",
  );

/** A board key in which segments may hold `*`, or be `**`. */
export const BoardGlob = z
  .string()
  .min(1)
  .max(limits.board.keyBytesMax)
  .refine(
    (key) => isBoardPath(key, /^[A-Za-z0-9._*-]+$/),
    "must be a board key in which segments may hold `*`, or be `**`",
  );

function isBoardPath(key: string, segmentForm: RegExp): boolean {
  const segments = key.split("/");
  return (
    segments.length <= limits.board.keySegmentsMax &&
    segments.every((s) => segmentForm.test(s) && s !== "." && s !== "..")
  );
}

/** A relative path for files that the mesh serves or takes: letters of any script, no hidden files and folders. */
export const FilePath = z
  .string()
  .min(1)
  .max(limits.tool.pathBytesMax)
  .refine(
    (path) => path.split("/").every((s) => /^[\p{L}\p{N}_ ()+-][\p{L}\p{N}._ ()+-]*$/u.test(s)),
    "must be a relative path without segments that begin with `.`",
  );
