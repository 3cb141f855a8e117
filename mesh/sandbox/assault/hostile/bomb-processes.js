import { processes, set, sleeper, target } from "./bombs.js";

await set("flood-processes", () => processes(target.floods.processCount, sleeper()));
