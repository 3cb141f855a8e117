type Call = readonly (number | bigint)[];
export const forbiddenCalls: Readonly<Record<string, Call>>;
export const allowedCalls: Readonly<Record<string, Call>>;
export const REFUSED: Readonly<Record<number, string>>;
export function forThisMachine(call: Call): Call;
