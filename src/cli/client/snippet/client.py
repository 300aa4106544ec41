#!/usr/bin/env python3
"""Gets access tokens of grantd. Needs Authlib and requests. Made by `grantd client snippet`."""

# {{about}}

import os
import threading
import time
from pathlib import Path

import requests
from authlib.integrations.requests_client import OAuth2Session

ISSUER = {{issuer}}
METADATA = {{metadata}}
CLIENT_ID = {{client_id}}
RESOURCE = {{resource}}
SCOPE = {{scope}}
# The file of the secret, which this user alone may read. A relative name is looked for where systemd's
# LoadCredential= puts it, else in the current folder.
SECRET_FILE = {{secret_file}}

_lock = threading.Lock()
_token = None


def access_token():
    """A token, kept until a minute before it expires. Raises OAuthError, which has the code, when refused."""
    global _token
    with _lock:
        if _token is None or _token["expires_at"] - 60 < time.time():
            _token = _fetch()
        return _token["access_token"]


def _fetch():
    answer = requests.get(METADATA, timeout=10)
    answer.raise_for_status()
    metadata = answer.json()
    if metadata["issuer"] != ISSUER:
        raise ValueError(f"{METADATA} is of another issuer: {metadata['issuer']}")
    secret = Path(os.environ.get("CREDENTIALS_DIRECTORY", "."), SECRET_FILE).read_text().strip()
    session = OAuth2Session(CLIENT_ID, secret, token_endpoint_auth_method="client_secret_post")
    wanted = {"resource": RESOURCE, "scope": SCOPE}
    return session.fetch_token(
        metadata["token_endpoint"],
        grant_type="client_credentials",
        timeout=30,
        **{name: value for name, value in wanted.items() if value},
    )


if __name__ == "__main__":
    print(access_token())
