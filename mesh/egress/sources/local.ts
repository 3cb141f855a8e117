import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { Secret } from "../../../lib/redact.ts";
import { err, ok } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";
import { fault, type SecretSource } from "./source.ts";

/** A variable of the mesh's environment: for a migration only, as every process of the same user can read it. */
export const environmentSource = (name: string, read: (name: string) => string | undefined): SecretSource => ({
  mint: () => {
    const value = read(name);
    return Promise.resolve(
      value === undefined || value === ""
        ? err(
            fault(
              `the environment has no \`${name}\``,
              "set it, or enter the value with `cordon credential add`",
              true,
            ),
          )
        : ok({ value: new Secret(Buffer.from(value)), expiresInMs: null }),
    );
  },
});

/** A file for its owner alone, such as a mounted secret; one line end at its end is not part of the value. */
export const fileSource = (path: string): SecretSource => ({
  mint: () => {
    let file: number | undefined;
    try {
      file = openSync(path, "r");
      const { mode, size } = fstatSync(file);
      if ((mode & 0o077) !== 0)
        return Promise.resolve(err(fault(`\`${path}\` can be read by others`, `chmod 600 ${path}`, true)));
      const bytes = Buffer.alloc(Math.min(size, limits.credential.valueBytesMax + 2));
      let length = readSync(file, bytes, 0, bytes.length, 0);
      if (bytes[length - 1] === 0x0a) length--;
      if (bytes[length - 1] === 0x0d) length--;
      return Promise.resolve(ok({ value: new Secret(bytes.subarray(0, length)), expiresInMs: null }));
    } catch (cause) {
      const { code = "unknown" } = cause as NodeJS.ErrnoException;
      return Promise.resolve(err(fault(`\`${path}\` cannot be read: ${code}`, "look at the path and its rights")));
    } finally {
      if (file !== undefined) closeSync(file);
    }
  },
});
