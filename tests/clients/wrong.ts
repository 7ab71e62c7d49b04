// Each line uses something that the schema does not have, or does not look at what may be null.
import { ask, plant, row } from "./screen.js";

const found = await ask("/graphql/", "token", plant, { tag: "P", first: 1 });
found.system.name;
found.system?.colour;
row({ name: "bearing" });
await ask("/graphql/", "token", plant, { tag: 7, first: 1 });
await ask("/graphql/", "token", plant, { tag: "P" });
