// Makes tiny static ELF programs, for JavaScript has no way to make a raw system call.
// Each performs a list of calls in order, writes the results (64-bit, negative errno) to standard output and exits.
const CODE = 0x400000n;
const RESULTS = 0x600000n;
const HEADERS = 64 + 2 * 56;

const u64 = (value) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)));
  return bytes;
};
const u32 = (value) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
};

// System V ABI, x86-64: rdi rsi rdx r10 r8 r9, number in rax. `mov reg, imm64` each, then `syscall`.
const x64 = {
  machine: 62,
  write: 1,
  exit: 60,
  call: (number, args) => {
    const loads = ["48bf", "48be", "48ba", "49ba", "49b8", "49b9"];
    const code = args.map((arg, i) => Buffer.concat([Buffer.from(loads[i], "hex"), u64(arg)]));
    return Buffer.concat([...code, Buffer.from("48b8", "hex"), u64(number), Buffer.from("0f05", "hex")]);
  },
  // mov [address], rax
  keep: (address) => Buffer.concat([Buffer.from("48a3", "hex"), u64(address)]),
};

// AAPCS64: x0-x5, number in x8. `movz` and three `movk` load 64 bits, then `svc #0`.
const load = (register, value) =>
  Buffer.concat(
    [0n, 1n, 2n, 3n].map((part) => {
      const bits = Number((BigInt.asUintN(64, BigInt(value)) >> (16n * part)) & 0xffffn);
      return u32((part === 0n ? 0xd2800000 : 0xf2800000) + Number(part) * 0x200000 + bits * 32 + register);
    }),
  );
const arm64 = {
  machine: 183,
  write: 64,
  exit: 93,
  call: (number, args) => Buffer.concat([...args.map((arg, i) => load(i, arg)), load(8, number), u32(0xd4000001)]),
  // str x0, [x9]
  keep: (address) => Buffer.concat([load(9, address), u32(0xf9000120)]),
};

const machines = { x64, arm64 };

/** `calls`: [number, ...arguments] each. */
export function rawCalls(calls, arch = process.arch) {
  const machine = machines[arch];
  const parts = calls.flatMap(([number, ...args], i) => [
    machine.call(number, args),
    machine.keep(RESULTS + BigInt(i * 8)),
  ]);
  parts.push(machine.call(machine.write, [1, RESULTS, calls.length * 8]), machine.call(machine.exit, [0]));
  return program(machine.machine, Buffer.concat(parts), Math.max(8, calls.length * 8));
}

/** A program of these machine-code bytes. */
export const program = (machine, code, resultBytes = 8) =>
  Buffer.concat([header(machine), segment(5, CODE, HEADERS + code.length), segment(6, RESULTS, 0, resultBytes), code]);

const header = (machine) => {
  const bytes = Buffer.alloc(64);
  bytes.write("\x7fELF\x02\x01\x01", "latin1");
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(machine, 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(CODE + BigInt(HEADERS), 24);
  bytes.writeBigUInt64LE(64n, 32);
  bytes.writeUInt16LE(64, 52);
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(2, 56);
  return bytes;
};

const segment = (flags, address, fileBytes, memoryBytes = fileBytes) =>
  Buffer.concat([
    u32(1),
    u32(flags),
    u64(0),
    u64(address),
    u64(address),
    u64(fileBytes),
    u64(memoryBytes),
    u64(0x10000),
  ]);
