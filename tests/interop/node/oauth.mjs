// Asks for tokens with openid-client and with oauth4webapi, configured from discovery alone.
//
// Reads on stdin one JSON object, {"issuer", "cases": [{"method", "client_id", "client_secret", "resource",
// "scope"}]}, and prints one, {"library": [what it got, or what it shows when refused]}. The CA comes by
// NODE_EXTRA_CA_CERTS.
import { text } from "node:stream/consumers";

import * as oauth from "oauth4webapi";
import * as openid from "openid-client";

const asked = JSON.parse(await text(process.stdin));
const issuer = new URL(asked.issuer);

function parameters({ resource, scope }) {
  return { ...(resource && { resource }), ...(scope && { scope }) };
}

/** What the library shows of a refusal: its code where it has read the body, else the challenge. */
async function refused(error) {
  if (error instanceof oauth.ResponseBodyError) {
    return { error: error.error, shown: `${error.error}: ${error.error_description}` };
  }
  if (error instanceof oauth.WWWAuthenticateChallengeError) {
    const body = await error.response.json();
    return { error: body.error, shown: `${error.message}: ${error.cause[0].scheme}` };
  }
  throw error;
}

async function openidClient({ method, client_id, client_secret, ...rest }) {
  const proof = method === "basic" ? openid.ClientSecretBasic : openid.ClientSecretPost;
  const config = await openid.discovery(issuer, client_id, undefined, proof(client_secret), {
    algorithm: "oauth2",
  });
  return openid.clientCredentialsGrant(config, parameters(rest)).catch(refused);
}

async function oauth4webapi({ method, client_id, client_secret, ...rest }) {
  const found = await oauth.discoveryRequest(issuer, { algorithm: "oauth2" });
  const server = await oauth.processDiscoveryResponse(issuer, found);
  const proof = method === "basic" ? oauth.ClientSecretBasic : oauth.ClientSecretPost;
  const client = { client_id };
  const answer = await oauth.clientCredentialsGrantRequest(
    server,
    client,
    proof(client_secret),
    parameters(rest),
  );
  return oauth.processClientCredentialsResponse(server, client, answer).catch(refused);
}

const got = {};
for (const [name, ask] of [
  ["openid-client", openidClient],
  ["oauth4webapi", oauth4webapi],
]) {
  got[name] = [];
  for (const one of asked.cases) got[name].push(await ask(one));
}
console.log(JSON.stringify(got));
