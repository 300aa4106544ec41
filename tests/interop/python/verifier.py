"""Runs verify.py for the tests: a line with a scope and a token, a line with the verdict.

Arguments: issuer, audience, cool-down in milliseconds.
"""

import sys

from verify import Refused, Verifier

issuer, audience, cool_down = sys.argv[1:]
verifier = Verifier(issuer, audience, cool_down=int(cool_down) / 1000)
for line in sys.stdin:
    scope, token = line.rstrip("\n").split(" ")
    try:
        claims = verifier.verify(token, scope)
        print("accepted", claims["client_id"], flush=True)
    except Refused as why:
        print("refused", " ".join(str(why).split()), flush=True)
