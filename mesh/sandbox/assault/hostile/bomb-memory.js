import { memory, set, target } from "./bombs.js";

await set("flood-memory", () => memory(target.floods.memoryBytesMax));
