// node-oidc-provider as its documentation sets it up for machines: client credentials, and resource indicators with
// access tokens that are JWTs signed with ES256. Its in-memory adapter, TLS by node. Settings come as one JSON line on
// standard input, and it says where it listens in one JSON line on standard output.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:https';
import { createInterface } from 'node:readline';

import Provider from 'oidc-provider';

const [line] = await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next().then((it) => [it.value]);
const { certificate, key, client, secret, resource, scope } = JSON.parse(line);

const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });

const provider = new Provider('https://localhost', {
  clients: [
    {
      client_id: client,
      client_secret: secret,
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
  ],
  cookies: { keys: ['bench'] },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig', kid: 'bench' }] },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: () => ({
        scope,
        audience: resource,
        accessTokenTTL: 900,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

// A refusal or a failure of its own is no figure: the load fails on it, and this says why.
for (const event of ['server_error', 'grant.error']) {
  provider.on(event, (_context, error) => console.error(event, error.error_description ?? error));
}

const server = createServer({ cert: certificate, key, minVersion: 'TLSv1.2' }, provider.callback());
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ address: `127.0.0.1:${server.address().port}` }));
});
