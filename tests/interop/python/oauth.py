"""Asks for tokens with Authlib and with requests-oauthlib, configured from discovery alone.

Reads on stdin one JSON object, {"issuer", "cases": [{"method", "client_id", "client_secret", "resource",
"scope"}]}, and prints one, {"library": [what it got, or what it shows when refused]}. The CA comes by
REQUESTS_CA_BUNDLE.
"""

import json
import sys

import requests
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from oauthlib.oauth2 import BackendApplicationClient, OAuth2Error
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

asked = json.load(sys.stdin)
url = get_well_known_url(asked["issuer"], external=True)
metadata = AuthorizationServerMetadata(requests.get(url, timeout=10).json())
metadata.validate_issuer()
metadata.validate_token_endpoint()
assert metadata["issuer"] == asked["issuer"]


def parameters(case):
    return {name: case[name] for name in ("resource", "scope") if case.get(name)}


def authlib(case):
    session = AuthlibSession(
        case["client_id"],
        case["client_secret"],
        token_endpoint_auth_method="client_secret_" + case["method"],
    )
    try:
        return session.fetch_token(
            metadata["token_endpoint"], grant_type="client_credentials", **parameters(case)
        )
    except OAuthError as refused:
        return {"error": refused.error, "shown": str(refused)}


def requests_oauthlib(case):
    session = OAuth2Session(client=BackendApplicationClient(client_id=case["client_id"]))
    if case["method"] == "basic":
        proof = {"auth": HTTPBasicAuth(case["client_id"], case["client_secret"])}
    else:
        proof = {"client_secret": case["client_secret"], "include_client_id": True}
    try:
        return session.fetch_token(metadata["token_endpoint"], **proof, **parameters(case))
    except OAuth2Error as refused:
        return {"error": refused.error, "shown": str(refused)}


libraries = {"Authlib": authlib, "requests-oauthlib": requests_oauthlib}
got = {name: [ask(case) for case in asked["cases"]] for name, ask in libraries.items()}
json.dump(got, sys.stdout)
