"""Verifies access tokens of grantd (RFC 9068). Needs PyJWT 2.15.1 or later: PyJWT[crypto]."""

import jwt

ALGORITHMS = ["ES256"]  # what your resource's tokens are signed with, and nothing else
REQUIRED = ["iss", "aud", "exp", "iat", "sub", "client_id", "jti"]
LEEWAY = 30  # seconds by which two clocks may differ


class Refused(Exception):
    """The token is not good for this. Any other error: it could not be checked."""


class Verifier:
    """One for the whole process: it holds the issuer's keys."""

    def __init__(self, issuer, audience, cool_down=30):
        self.issuer, self.audience = issuer, audience
        # Kept for 5 minutes. An unknown kid fetches them anew, but not within `cool_down` seconds of
        # the last time, whatever people send.
        self.keys = jwt.PyJWKClient(
            f"{issuer}/oauth2/jwks", lifespan=300, timeout=5, cooldown_duration=cool_down
        )

    def verify(self, token, scope):
        """Returns the claims of a token that is good for this scope."""
        try:
            header = jwt.get_unverified_header(token)
            if header.get("typ") != "at+jwt":
                raise Refused("it is no access token (typ)")
            claims = jwt.decode(
                token,
                self.keys.get_signing_key(header.get("kid")),
                algorithms=ALGORITHMS,
                issuer=self.issuer,
                audience=self.audience,
                leeway=LEEWAY,
                options={"require": REQUIRED, "strict_aud": True},
            )
        except jwt.PyJWKClientConnectionError:
            raise
        except jwt.PyJWTError as error:
            raise Refused(str(error)) from error
        if scope not in claims.get("scope", "").split(" "):
            raise Refused(f"it lacks the scope {scope}")
        return claims
