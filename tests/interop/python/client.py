"""Gets a token as Python users do, with urllib, and verifies it with PyJWT.

Reads on stdin what `grantd dev --format json` prints; prints the verified token's parts as JSON.
"""

import json
import ssl
import sys
import urllib.parse
import urllib.request

import jwt

grantd = json.load(sys.stdin)
trust = ssl.create_default_context(cafile=grantd["ca_file"])

form = urllib.parse.urlencode(
    {
        "grant_type": "client_credentials",
        "resource": grantd["resource"],
        "client_id": grantd["client_id"],
        "client_secret": grantd["client_secret"],
    }
)
with urllib.request.urlopen(grantd["token_endpoint"], data=form.encode(), context=trust) as answer:
    token = json.load(answer)

assert token["token_type"] == "Bearer", token["token_type"]

keys = jwt.PyJWKClient(grantd["jwks_uri"], ssl_context=trust)
compact = token["access_token"]
header = jwt.get_unverified_header(compact)
assert header["typ"] == "at+jwt", header

claims = jwt.decode(
    compact,
    keys.get_signing_key_from_jwt(compact),
    algorithms=["ES256", "ES384", "EdDSA", "RS256", "PS256"],
    issuer=grantd["issuer"],
    audience=grantd["resource"],
    options={"require": ["iss", "aud", "exp", "iat", "sub", "jti"]},
)
json.dump({"header": header, "claims": claims, "expires_in": token["expires_in"]}, sys.stdout)
