/** Files and forms as clients make them, written without the code that reads them. */

export interface WaveHead {
  readonly rate?: number;
  readonly channels?: number;
  readonly bits?: number;
  readonly tag?: number;
  readonly byteRate?: number;
  readonly riffBytes?: number;
  readonly dataBytes?: number;
}

/** `samples` behind a head of 44 bytes; what `head` does not say follows from them. */
export function waveOf(samples: Buffer, head: WaveHead = {}): Buffer {
  const { rate = 16_000, channels = 1, bits = 16, tag = 1 } = head;
  const frame = (channels * bits) / 8;
  const u16 = (value: number): number[] => [value & 0xff, (value >> 8) & 0xff];
  const u32 = (value: number): number[] => [...u16(value % 65_536), ...u16(Math.floor(value / 65_536))];
  return Buffer.concat([
    Buffer.from("RIFF"),
    Buffer.from(u32(head.riffBytes ?? samples.length + 36)),
    Buffer.from("WAVEfmt "),
    Buffer.from([...u32(16), ...u16(tag), ...u16(channels), ...u32(rate)]),
    Buffer.from([...u32(head.byteRate ?? rate * frame), ...u16(frame), ...u16(bits)]),
    Buffer.from("data"),
    Buffer.from(u32(head.dataBytes ?? samples.length)),
    samples,
  ]);
}

export interface TestPart {
  readonly name: string;
  readonly fileName?: string;
  readonly content: Buffer | string;
}

export const BOUNDARY = "----formdata-test-012345678901";
export const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

export function formOf(parts: readonly TestPart[], boundary = BOUNDARY): Buffer {
  const pieces = parts.flatMap(({ name, fileName, content }) => [
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="${name}"` +
        (fileName === undefined ? "\r\n\r\n" : `; filename="${fileName}"\r\nContent-Type: audio/wav\r\n\r\n`),
    ),
    Buffer.from(content),
    Buffer.from("\r\n"),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}
