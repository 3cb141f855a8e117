import { setImmediate as nextTurn } from "node:timers/promises";
import { err, ok, type Result } from "../../../lib/result.ts";
import { limits } from "../../../protocol/limits.ts";

/** Sound whose length follows from its bytes: 16-bit PCM in a WAV file that holds nothing else. */
export interface Wave {
  /** Hz. */
  readonly rate: (typeof sampleRates)[number];
  readonly channels: 1 | 2;
  /** Little-endian, two bytes each, the channels in turn. */
  readonly samples: Buffer;
  /** Rounded up. */
  readonly ms: number;
}

export const sampleRates = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] as const;

const HEAD_BYTES = 44;
const [PCM, FORM_BYTES] = [1, 16];

/**
 * RIFF/WAVE (Microsoft and IBM, Multimedia Programming Interface 1.0) in its one shortest form: `fmt ` of 16 bytes, then
 * `data`, and the end. Each size in the head agrees with the file, so that no reader finds more samples than there are.
 */
export function readWave(file: Buffer): Result<Wave, string> {
  const tag = (at: number): string => file.toString("latin1", at, at + 4);
  if (file.length < HEAD_BYTES || tag(0) !== "RIFF" || tag(8) !== "WAVE") return err("it is not a WAV file");
  if (tag(12) !== "fmt " || file.readUInt32LE(16) !== FORM_BYTES || file.readUInt16LE(20) !== PCM || tag(36) !== "data")
    return err("it holds something else than plain PCM and its head");
  const channels = file.readUInt16LE(22);
  const rate = sampleRates.find((known) => known === file.readUInt32LE(24));
  if ((channels !== 1 && channels !== 2) || rate === undefined || file.readUInt16LE(34) !== 16)
    return err(`its samples are not 16 bits wide, on one or two channels, at one of ${sampleRates.join(", ")} Hz`);
  const frameBytes = channels * 2;
  if (file.readUInt32LE(28) !== rate * frameBytes || file.readUInt16LE(32) !== frameBytes)
    return err("its head contradicts itself");
  const samples = file.subarray(HEAD_BYTES);
  if (file.readUInt32LE(4) !== file.length - 8 || file.readUInt32LE(40) !== samples.length)
    return err("its sizes do not agree with its length");
  if (samples.length === 0 || samples.length % frameBytes !== 0) return err("it does not end after a sample");
  return ok({ rate, channels, samples, ms: Math.ceil((samples.length * 1_000) / (rate * frameBytes)) });
}

/**
 * The lowest byte of each sample that is sent on: less than a quarter of what a 16-bit sample can tell. It is in none of
 * the marks of S/PDIF and DTS, is not zero, and as a part of a frame's head of MP3 or AAC it is a rate that there is not.
 */
const FILLER = 0x3c;

/**
 * The same sound in 24 bits. Readers look through a WAV: FFmpeg looks for MP3, AAC or DTS in 16-bit samples
 * (libavformat/wavdec.c), for S/PDIF in samples of any width, and for G.729 behind the head (libavformat/act.c); what it
 * finds can last hundreds of times as long as the samples. Where each third byte is the filler, it finds none of them.
 */
export async function widened({ rate, channels, samples }: Wave): Promise<Buffer> {
  const bytes = (samples.length / 2) * 3;
  const padding = bytes % 2;
  const file = Buffer.alloc(HEAD_BYTES + bytes + padding);
  const frameBytes = channels * 3;
  file.write("RIFF", 0, "latin1");
  file.writeUInt32LE(file.length - 8, 4);
  file.write("WAVEfmt ", 8, "latin1");
  file.writeUInt32LE(FORM_BYTES, 16);
  file.writeUInt16LE(PCM, 20);
  file.writeUInt16LE(channels, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(rate * frameBytes, 28);
  file.writeUInt16LE(frameBytes, 32);
  file.writeUInt16LE(24, 34);
  file.write("data", 36, "latin1");
  file.writeUInt32LE(bytes, 40);
  const sliceBytes = limits.sound.samplesPerTurnMax * 2;
  for (let from = 0, to = HEAD_BYTES; from < samples.length;) {
    const end = Math.min(from + sliceBytes, samples.length);
    while (from < end) {
      file[to++] = FILLER;
      file[to++] = samples[from++] ?? 0;
      file[to++] = samples[from++] ?? 0;
    }
    // Megabytes of sound must not keep everybody else waiting.
    if (from < samples.length) await nextTurn();
  }
  return file;
}
