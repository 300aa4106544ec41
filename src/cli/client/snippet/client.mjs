// Gets access tokens of grantd. Needs openid-client 6. Made by `grantd client snippet`.
//
// {{about}}
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";

import * as openid from "openid-client";

const ISSUER = {{issuer}};
const CLIENT_ID = {{client_id}};
const RESOURCE = {{resource}};
const SCOPE = {{scope}};
// The file of the secret, which this user alone may read. A relative name is looked for where systemd's
// LoadCredential= puts it, else in the current folder.
const SECRET_FILE = {{secret_file}};

let kept;

/** A token, kept until a minute before it expires. Who asks at the same time gets the same one. */
export async function accessToken() {
  if (!kept || (await kept).until < Date.now()) {
    kept = fetchToken();
    kept.catch(() => (kept = undefined)); // a failure is not kept
  }
  return (await kept).token;
}

async function fetchToken() {
  const file = resolve(process.env.CREDENTIALS_DIRECTORY ?? ".", SECRET_FILE);
  const secret = (await readFile(file, "utf8")).trim();
  const config = await openid.discovery(
    new URL(ISSUER),
    CLIENT_ID,
    undefined,
    openid.ClientSecretPost(secret),
    { algorithm: "oauth2" },
  );
  const wanted = { resource: RESOURCE, ...(SCOPE && { scope: SCOPE }) };
  const answer = await openid.clientCredentialsGrant(config, wanted);
  return { token: answer.access_token, until: Date.now() + (answer.expires_in - 60) * 1000 };
}

console.log(await accessToken());
