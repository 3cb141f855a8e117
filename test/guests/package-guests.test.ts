/**
 * Guests on Debian packages: they are fetched and unpacked, which takes minutes on a slow line. `CORDON_PACKAGES=1`
 * runs them.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ANSWER, assertNoSecret, assertTakenForHonest, startGuests, type GuestFleet } from "./fleet-of-guests.ts";

const skip = process.env["CORDON_PACKAGES"] ? false : "fetches Debian packages: set CORDON_PACKAGES=1";

describe("guests on packages", { skip, timeout: 900_000 }, () => {
  let fleet: GuestFleet;
  before(async () => void (fleet = await startGuests(["python", "coding-agent"])));
  after(() => fleet?.close());

  it("an agent in Python, with its standard library alone", async () => {
    const { chat } = await fleet.stepsOf("python");
    assert.equal(chat?.["answer"], ANSWER);
    assert.match(String(chat?.["python"]), /^3\./);
  });

  it("the shape of a coding agent: a shell, git, curl and npm", async () => {
    const { before, after, git, note, web } = await fleet.stepsOf("coding-agent");
    const told = [before, after, git, note].map((step) => step?.["answer"]);
    assert.deepEqual(told, ["fails", "passes", "the weather is sunny;a weather module;", "version 1"]);
    assert.match(String(web?.["answer"]), /Failed to connect|Couldn't connect|unreachable/);
  });

  it("hold no secret", async () => {
    for (const guest of ["python", "coding-agent"]) await fleet.stepsOf(guest);
    await assertNoSecret(fleet, 4);
  });

  it("are not taken for attackers", async () => {
    for (const guest of ["python", "coding-agent"]) await fleet.stepsOf(guest);
    await assertTakenForHonest(fleet);
  });
});
