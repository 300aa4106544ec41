// Runs verify.mjs for the tests: a line with a scope and a token, a line with the verdict.
//
// Arguments: issuer, audience, cool-down in milliseconds.
import { createInterface } from "node:readline";

import { Refused, verifier } from "./verify.mjs";

const [issuer, audience, coolDown] = process.argv.slice(2);
const verify = verifier(issuer, audience, Number(coolDown));
for await (const line of createInterface({ input: process.stdin })) {
  const [scope, token] = line.split(" ");
  try {
    console.log("accepted", (await verify(token, scope)).client_id);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    console.log("refused", error.message.replaceAll(/\s+/g, " "));
  }
}
