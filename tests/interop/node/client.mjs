// Gets a token as Node users do, with fetch and URLSearchParams, and verifies it with jose.
//
// Reads on stdin what `grantd dev --format json` prints; prints the verified token's parts as JSON.
// The CA comes by NODE_EXTRA_CA_CERTS, Node's own way.
import assert from "node:assert";
import { text } from "node:stream/consumers";

import { createRemoteJWKSet, jwtVerify } from "jose";

const grantd = JSON.parse(await text(process.stdin));

const answer = await fetch(grantd.token_endpoint, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "client_credentials",
    resource: grantd.resource,
    client_id: grantd.client_id,
    client_secret: grantd.client_secret,
  }),
});
assert.equal(answer.status, 200, await answer.clone().text());
const token = await answer.json();
assert.equal(token.token_type, "Bearer");

const { protectedHeader, payload } = await jwtVerify(
  token.access_token,
  createRemoteJWKSet(new URL(grantd.jwks_uri)),
  {
    issuer: grantd.issuer,
    audience: grantd.resource,
    typ: "at+jwt",
    algorithms: ["ES256", "ES384", "EdDSA", "RS256", "PS256"],
    requiredClaims: ["exp", "iat", "sub", "jti"],
  },
);
console.log(
  JSON.stringify({ header: protectedHeader, claims: payload, expires_in: token.expires_in }),
);
