// Verifies access tokens of grantd (RFC 9068). Needs jose 6.
import { createRemoteJWKSet, errors, jwtVerify } from "jose";

/** The token is not good for this. Any other error: it could not be checked. */
export class Refused extends Error {}

/** Makes a function that verifies. One for the whole process: it holds the issuer's keys. */
export function verifier(issuer, audience, coolDown = 30_000) {
  // Kept for 5 minutes. An unknown kid fetches them anew, but not within `coolDown` milliseconds of
  // the last time, whatever people send.
  const keys = createRemoteJWKSet(new URL(`${issuer}/oauth2/jwks`), {
    cacheMaxAge: 300_000,
    cooldownDuration: coolDown,
  });

  /** Returns the claims of a token that is good for this scope. */
  return async function verify(token, scope) {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: ["ES256"], // what your resource's tokens are signed with, and nothing else
      typ: "at+jwt",
      issuer,
      audience,
      requiredClaims: ["exp", "iat", "sub", "client_id", "jti"],
      clockTolerance: 30, // seconds by which two clocks may differ
    }).catch((error) => {
      const unknown = error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout);
      throw unknown ? new Refused(error.message, { cause: error }) : error;
    });
    if (payload.aud !== audience) throw new Refused("it is for others too");
    if (!payload.scope?.split(" ").includes(scope)) throw new Refused(`it lacks the scope ${scope}`);
    return payload;
  };
}
