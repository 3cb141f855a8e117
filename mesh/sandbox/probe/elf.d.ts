type Call = readonly (number | bigint)[];
export function rawCalls(calls: readonly Call[], arch?: string): Buffer;
export function program(machine: number, code: Buffer, resultBytes?: number): Buffer;
