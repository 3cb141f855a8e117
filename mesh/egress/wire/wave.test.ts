/** WAV: a length that follows from the bytes, or a refusal; and what is sent on can be read as nothing else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { limits } from "../../../protocol/limits.ts";
import { waveOf } from "./testing/sound.ts";
import { readWave, sampleRates, widened } from "./wave.ts";

/** Reads chunks one after another, believes no size, and takes all bytes to the end for samples: the most any reader finds. */
function longestReading(file: Buffer): number {
  let byteRate = Infinity;
  for (let at = 12; at + 8 <= file.length;) {
    const tag = file.toString("latin1", at, at + 4);
    if (tag === "fmt " && at + 24 <= file.length) {
      const [channels, rate, bits] = [
        file.readUInt16LE(at + 10),
        file.readUInt32LE(at + 12),
        file.readUInt16LE(at + 22),
      ];
      byteRate = Math.min(byteRate, file.readUInt32LE(at + 16), (rate * channels * bits) / 8);
    }
    if (tag === "data") return ((file.length - at - 8) * 1_000) / byteRate;
    at += 8 + file.readUInt32LE(at + 4);
  }
  return 0;
}

test("the length that is held is never below the longest reading of the same bytes", () => {
  let accepted = 0;
  const lie = fc.record(
    {
      rate: fc.oneof(fc.constantFrom(...sampleRates), fc.nat(200_000)),
      channels: fc.nat(4),
      bits: fc.constantFrom(0, 8, 16, 24, 32),
      tag: fc.constantFrom(0, 1, 3, 0x55, 0xfffe),
      byteRate: fc.nat(400_000),
      riffBytes: fc.nat(600),
      dataBytes: fc.oneof(fc.nat(600), fc.constant(0xffffffff)),
    },
    { requiredKeys: [] },
  );
  const honest = fc.record({ rate: fc.constantFrom(...sampleRates), channels: fc.constantFrom(1, 2) });
  const head = fc.oneof(honest, lie);
  const frames = fc.uint8Array({ minLength: 1, maxLength: 100 }).map((bytes) => Buffer.alloc(bytes.length * 4, bytes));
  const samples = fc.oneof(frames, fc.uint8Array({ maxLength: 400 }));
  const change = fc.option(fc.tuple(fc.nat(80), fc.nat(255)), { nil: undefined });
  fc.assert(
    fc.property(samples, head, change, fc.constantFrom(0, 0, 0, 1, 2, 8), (bytes, fields, changed, more) => {
      const file = Buffer.concat([waveOf(Buffer.from(bytes), fields), Buffer.alloc(more)]);
      if (changed && changed[0] < file.length) file[changed[0]] = changed[1];
      const read = readWave(file);
      if (!read.ok) return;
      accepted++;
      assert.ok(read.value.ms >= longestReading(file), `${read.value.ms} < ${longestReading(file)}`);
    }),
    { seed: 6, numRuns: 4_000 },
  );
  assert.ok(accepted > 200, `${accepted} were accepted`);
  for (const rate of sampleRates)
    for (const channels of [1, 2]) {
      const file = waveOf(Buffer.alloc(rate * channels * 2 * 3), { rate, channels });
      const read = readWave(file);
      assert.equal(read.ok && read.value.ms, 3_000);
      assert.equal(longestReading(file), 3_000);
    }
});

test("a head that lies, or that says something else, is refused", () => {
  const samples = Buffer.alloc(640, 1);
  const good = waveOf(samples);
  assert.ok(readWave(good).ok);
  const spliced = (at: number, bytes: Buffer): Buffer => {
    const file = Buffer.concat([good.subarray(0, at), bytes, good.subarray(at)]);
    file.writeUInt32LE(file.length - 8, 4);
    return file;
  };
  const chunk = (tag: string, bytes: number): Buffer =>
    Buffer.concat([Buffer.from(tag), Buffer.from(Uint32Array.of(bytes).buffer), Buffer.alloc(bytes)]);
  const cases: Record<string, Buffer> = {
    nothing: Buffer.alloc(0),
    "a head alone": good.subarray(0, 43),
    "no samples": waveOf(Buffer.alloc(0)),
    "half a sample": waveOf(Buffer.alloc(641)),
    "half a frame": waveOf(Buffer.alloc(642), { channels: 2 }),
    "0 Hz": waveOf(samples, { rate: 0 }),
    "4 GHz": waveOf(samples, { rate: 0xffffffff }),
    "another rate": waveOf(samples, { rate: 16_001 }),
    "no channel": waveOf(samples, { channels: 0 }),
    "three channels": waveOf(samples, { channels: 3 }),
    "8 bits": waveOf(samples, { bits: 8 }),
    "24 bits": waveOf(samples, { bits: 24 }),
    floats: waveOf(samples, { tag: 3, bits: 32 }),
    "MP3 in a WAV": waveOf(samples, { tag: 0x55 }),
    "the extensible form": waveOf(samples, { tag: 0xfffe }),
    "a byte rate that makes it short": waveOf(samples, { byteRate: 3_200_000 }),
    "a byte rate of nothing": waveOf(samples, { byteRate: 0 }),
    "4 GiB of data": waveOf(samples, { dataBytes: 0xffffffff }),
    "less data than there is": waveOf(samples, { dataBytes: 2 }),
    "no data": waveOf(samples, { dataBytes: 0 }),
    "a RIFF of nothing": waveOf(samples, { riffBytes: 0 }),
    "4 GiB of RIFF": waveOf(samples, { riffBytes: 0xffffffff }),
    "bytes after the end": Buffer.concat([good, Buffer.alloc(2)]),
    "a second data": spliced(good.length, chunk("data", 8)),
    "a second fmt": spliced(36, chunk("fmt ", 16)),
    "a list": spliced(36, chunk("LIST", 4)),
    "a fact": spliced(36, chunk("fact", 4)),
    "big endian": Buffer.concat([Buffer.from("RIFX"), good.subarray(4)]),
    RF64: Buffer.concat([Buffer.from("RF64"), good.subarray(4)]),
    MP3: Buffer.concat([Buffer.from([0xff, 0xfb, 0x90, 0x64]), Buffer.alloc(413)]),
    Ogg: Buffer.concat([Buffer.from("OggS"), Buffer.alloc(100)]),
    FLAC: Buffer.concat([Buffer.from("fLaC"), Buffer.alloc(100)]),
    MP4: Buffer.concat([Buffer.from("\0\0\0 ftypM4A "), Buffer.alloc(100)]),
    WebM: Buffer.concat([Buffer.from([0x1a, 0x45, 0xdf, 0xa3]), Buffer.alloc(100)]),
  };
  for (const [name, file] of Object.entries(cases)) assert.equal(readWave(file).ok, false, name);
});

/** Marks by which readers take what is in a WAV for something compressed. */
const marks: Record<string, string> = {
  "S/PDIF (IEC 61937)": "72f81f4e",
  "DTS, 14 bits": "ff1f00e8",
  "DTS, 16 bits": "fe7f0180",
  "DTS, big endian": "7ffe8001",
  "S/PDIF in 24 bits": "72f8961f4ea5",
  "MP3 of 8 kbit/s": "ffe31844",
  ADTS: "fff15080",
};

test("what is sent on has the same samples, and none of the marks that make it something longer", async () => {
  for (const [name, hex] of Object.entries(marks)) {
    const mark = Buffer.from(hex, "hex");
    // The file holds it as it is; and at each place of the filler, all of it that the sender can choose.
    const whole = Buffer.alloc(mark.length * 64, mark);
    const around = [0, 1, 2].map((phase) =>
      Buffer.concat([Buffer.alloc(phase === 1 ? 1 : 0), mark.filter((_, at) => at % 3 !== phase), Buffer.alloc(8)]),
    );
    for (const samples of [whole, whole.subarray(1), ...around]) {
      const wave = readWave(waveOf(samples.subarray(0, samples.length - (samples.length % 2))));
      assert.ok(wave.ok);
      assert.equal((await widened(wave.value)).subarray(44).includes(mark), false, name);
    }
  }
  // libavformat/act.c: bytes 44 to 255 are zero, and then 0x84.
  const act = Buffer.alloc(600);
  for (let at = 140; at < 220; at++) act[at] = 0x84;
  const hidden = readWave(waveOf(act, { rate: 8_000 }));
  assert.ok(hidden.ok);
  const sent = await widened(hidden.value);
  assert.equal(
    sent.subarray(44, 256).every((byte) => byte === 0),
    false,
  );
});

test("the wider file is a WAV of the same length, rate and samples", async () => {
  const size = fc.constantFrom(1, 2, 3, 255, limits.sound.samplesPerTurnMax, limits.sound.samplesPerTurnMax * 2 + 3);
  await fc.assert(
    fc.asyncProperty(
      size,
      fc.constantFrom(...sampleRates),
      fc.constantFrom(1, 2),
      fc.nat(255),
      async (frames, rate, channels, seed) => {
        const samples = Buffer.alloc(frames * channels * 2, Buffer.from([seed, 7, 255 - seed, 200, 13]));
        const read = readWave(waveOf(samples, { rate, channels }));
        assert.ok(read.ok);
        const file = await widened(read.value);
        const count = frames * channels;
        assert.equal(file.length, 44 + count * 3 + ((count * 3) % 2));
        assert.equal(file.readUInt32LE(4), file.length - 8);
        assert.equal(file.readUInt32LE(40), count * 3);
        assert.deepEqual([file.readUInt16LE(22), file.readUInt32LE(24), file.readUInt16LE(34)], [channels, rate, 24]);
        assert.equal(file.readUInt32LE(28), rate * channels * 3);
        const narrow = Buffer.alloc(samples.length);
        for (let at = 0; at < count; at++) narrow.writeInt16LE(file.readIntLE(44 + at * 3, 3) >> 8, at * 2);
        assert.ok(narrow.equals(samples));
      },
    ),
    { seed: 6, numRuns: 40 },
  );
});
