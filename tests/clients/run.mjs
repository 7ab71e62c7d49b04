// Asks for the plant TAG at URL with TOKEN, through what was compiled; prints the answer.
import { ask, plant } from "./built/screen.js";

const { URL: url, TOKEN: token, TAG: tag } = process.env;
console.log(JSON.stringify(await ask(url, token, plant, { tag, first: 5 })));
