//! What stands behind the options in each command's help, and in its manual page. Pure.
//!
//! Headings end in a colon and are not indented, all else is indented by two spaces: `man.rs` makes
//! sections of them. Each leaf of the command line has examples and its exit codes.

mod live;
mod meaning;

pub(super) use live::{
    CLIENT_DISABLE, CLIENT_ENABLE, OVERLAY, OVERLAY_CLEAR, OVERLAY_LIST, REVOKE, STATUS,
};
pub(super) use meaning::{ACCESS, EXPLAIN, PLAN, SCHEMA};

/// `grantd`
pub(super) const GRANTD: &str = "\
Examples:
  grantd dev                    try it: a complete daemon with a demo client
  grantd init --dir /etc/grantd --issuer https://auth.example.com
  grantd check registry.d       what CI runs on a pull request
  grantd plan registry.d        what a change means, and who must agree
  grantd serve                  the daemon, with /etc/grantd/grantd.toml
  grantd token --help           get a token for a script

Exit codes:
  0  done
  1  failed: the message says why; what could pass by itself may be tried again
  2  the arguments are wrong; of plan: there are changes
  3  refused: a registry by check, a change by plan, a client by the token
     server, a token by verify, a request by explain; trying again gets the same
  4  the daemon that was asked runs, and is not ready

Files:
  /etc/grantd/grantd.toml   settings (grantd init writes a commented one)
  /etc/grantd/registry.d    APIs, scopes and clients
  /var/lib/grantd           state: keys, journal, admin socket

Results go to stdout, words for people to stderr. Each command has its own
examples: grantd COMMAND --help";

/// `grantd init`
pub(super) const INIT: &str = "\
Examples:
  grantd init --dir /etc/grantd --state /var/lib/grantd \\
      --issuer https://auth.example.com
  grantd init --dir /etc/grantd --algorithm ES256 --algorithm RS256
  grantd init --dir . --format json

Exit codes:
  0  made
  1  failed, or there are keys already: nothing was changed
  2  the arguments are wrong

Files:
  DIR/grantd.toml    settings, commented; one that is there is left as it is
  DIR/registry.d     the registry, still empty
  DIR/state          the state directory, with the keys in DIR/state/keys

What next:
  1. Put a certificate and its key where grantd.toml says.
  2. Write an API into DIR/registry.d (docs/registry.md), then a client:
     grantd client new ID --dir DIR/registry.d --grant API=SCOPE
  3. grantd check DIR/registry.d, then grantd serve --config DIR/grantd.toml";

/// `grantd serve`
pub(super) const SERVE: &str = "\
Examples:
  grantd serve
  grantd serve --config ./grantd.toml
  grantd serve --strict             refuses a folder that can't be served

Signals:
  TERM, INT  finish what was begun, record it, stop; a second one stops at once
  HUP        look at the registry and the TLS certificate now

Exit codes:
  0  stopped as it was told
  1  failed, or could not start: the message says why
  2  the arguments are wrong

What next:
  grantd status --config FILE         how it stands, and what is wrong
  curl http://127.0.0.1:9464/readyz   says whether tokens are issued, or why not
  grantd keys list --config FILE      the keys and their next steps
  grantd audit tail --state DIR -f    what is decided";

/// `grantd dev`
pub(super) const DEV: &str = "\
Examples:
  grantd dev
  grantd dev --registry ./registry.d --listen 127.0.0.1:0
  grantd dev --nats nats://127.0.0.1:4222 --state ./dev-state
  grantd dev --format json           one line with all that a test needs

Exit codes:
  0  stopped by Ctrl-C
  1  failed, or could not start: the message says why
  2  the arguments are wrong
  3  the registry was refused: the problems are shown as grantd check shows them

What next:
  Paste the curl line that it prints, then edit a file of the registry.";

/// `grantd check`
pub(super) const CHECK: &str = "\
Examples:
  grantd check                  ./registry.d, as the defaults would serve it
  grantd check registry.d --expiring 60d
  grantd check --config /etc/grantd/grantd.toml
  grantd check registry.d --algorithms ES256,RS256 --format json
  grantd check registry.d --format github     in a workflow of GitHub Actions
  grantd check registry.d --format sarif >grantd.sarif

Exit codes:
  0  accepted, warnings included
  1  the folder or the settings can't be read
  2  the arguments are wrong
  3  refused: each problem is shown with its file, line and column

Formats:
  text    for people; problems on stderr, one line on stdout
  json    one object: problems with rule, file, line, column, message, advice
  sarif   SARIF 2.1.0, for code scanning and editors
  github  ::error and ::warning lines, which GitHub shows at the lines they
          are about
  sarif and github name files from the root of the git work tree.";

/// `grantd client`
pub(super) const CLIENT: &str = "\
Examples:
  grantd client new nightly --dir registry.d --owner team-billing \\
      --grant billing=invoice:read
  grantd client snippet nightly --lang python --registry registry.d \\
      --issuer https://auth.example.com
  grantd client disable nightly --reason ticket-4711";

/// `grantd client new`
pub(super) const CLIENT_NEW: &str = "\
Examples:
  grantd client new nightly --dir registry.d --owner team-billing \\
      --grant billing=invoice:read,invoice:write --secret-file ./nightly.secret
  grantd client new nightly --grant billing=invoice:read >nightly.toml

Exit codes:
  0  made
  1  failed, or a file is there already: nothing was written
  2  the arguments are wrong
  3  the registry would be refused: nothing was written

What next:
  1. Hand the secret to the client's machine: a file with mode 0600, or a
     systemd credential.
  2. Commit the client's file and open a pull request: it holds only a hash.
  3. There: grantd token --issuer URL --client-id ID --secret-file FILE";

/// `grantd secret`
pub(super) const SECRET: &str = "\
Examples:
  grantd secret new --client nightly --dir registry.d --secret-file ./secret";

/// `grantd secret new`
pub(super) const SECRET_NEW: &str = "\
Examples:
  grantd secret new --client nightly --dir registry.d --secret-file ./secret
  grantd secret new --client nightly --file registry.d/nightly.toml \\
      --label spare --secret-expires 90d

Exit codes:
  0  made
  1  failed, or the secret's file is there already: nothing was written
  2  the arguments are wrong
  3  the registry would be refused: nothing was written

What next:
  A client may have several secrets at once. Merge the new one, hand it to the
  client, and remove the old table when the events show that nobody uses it:
  grantd audit find --state DIR --client ID";

/// `grantd keys`
pub(super) const KEYS: &str = "\
Examples:
  grantd keys list --config /etc/grantd/grantd.toml
  grantd keys rotate --config /etc/grantd/grantd.toml

Files:
  STATE/keys   the private keys, one file each; docs/keys.md has their life";

/// `grantd keys list`
pub(super) const KEYS_LIST: &str = "\
Examples:
  grantd keys list --config /etc/grantd/grantd.toml
  grantd keys list --state /var/lib/grantd --format json

Exit codes:
  0  listed
  1  the files can't be read
  2  the arguments are wrong";

/// `grantd keys rotate`
pub(super) const KEYS_ROTATE: &str = "\
Examples:
  grantd keys rotate --config /etc/grantd/grantd.toml
  grantd keys rotate --config /etc/grantd/grantd.toml --algorithm ES256
  grantd keys rotate --config /etc/grantd/grantd.toml --compromised KID

Exit codes:
  0  rotated
  1  failed, or it is too early: the message says from when on the next key
     may sign
  2  the arguments are wrong

What happens:
  A daemon that runs does it itself, and at once; one that is stopped finds it
  done when it starts.";

/// `grantd keys accept-clock`
pub(super) const KEYS_ACCEPT_CLOCK: &str = "\
Examples:
  grantd keys accept-clock --config /etc/grantd/grantd.toml

Exit codes:
  0  accepted
  1  failed: the message says why
  2  the arguments are wrong";

/// `grantd registry`
pub(super) const REGISTRY: &str = "\
Examples:
  grantd registry accept HASH --config /etc/grantd/grantd.toml

What next:
  grantd status --config FILE   whether a change is held back, and what it
                                takes away";

/// `grantd registry accept`
pub(super) const REGISTRY_ACCEPT: &str = "\
Examples:
  grantd registry accept HASH
  grantd registry accept HASH --state /var/lib/grantd --format json

Exit codes:
  0  released, and served; or on its way, where the answer says so
  1  failed: another change waits, or none, or no daemon runs
  2  the arguments are wrong

What happens:
  The change is served at once. A release that a restart comes between is
  remembered; it is over once any registry is applied.";

/// `grantd audit`
pub(super) const AUDIT: &str = "\
Examples:
  grantd audit tail --state /var/lib/grantd --follow
  grantd audit find --state /var/lib/grantd --request-id ID
  grantd audit verify --nats nats://127.0.0.1 --stream audit --instance auth-1

Files:
  STATE/journal   the record of every decision; docs/audit-events.md has each
                  event";

/// `grantd audit tail`
pub(super) const AUDIT_TAIL: &str = "\
Examples:
  grantd audit tail --state /var/lib/grantd
  grantd audit tail --state /var/lib/grantd -n 100 --format json
  grantd audit tail --state /var/lib/grantd --follow

Exit codes:
  0  shown
  1  the events can't be read
  2  the arguments are wrong";

/// `grantd audit export`
pub(super) const AUDIT_EXPORT: &str = "\
Examples:
  grantd audit export --state /var/lib/grantd >events.jsonl

Exit codes:
  0  printed
  1  the events can't be read
  2  the arguments are wrong";

/// `grantd audit find`
pub(super) const AUDIT_FIND: &str = "\
Examples:
  grantd audit find --state /var/lib/grantd --request-id ID
  grantd audit find --state /var/lib/grantd --client nightly --since 2h
  grantd audit find --state /var/lib/grantd --jti JTI --format json

Exit codes:
  0  looked through: what fits was shown, or stderr says that nothing does
  1  the events can't be read
  2  the arguments are wrong, or say nothing to find";

/// `grantd audit verify`
pub(super) const AUDIT_VERIFY: &str = "\
Examples:
  grantd audit verify --state /var/lib/grantd
  grantd audit verify --state /var/lib/grantd --expect-head HASH
  grantd audit verify --nats nats://127.0.0.1 --stream audit --instance auth-1

Exit codes:
  0  each event follows the one before, none is altered
  1  something is missing or altered, or the events can't be read
  2  the arguments are wrong";

/// `grantd token`
pub(super) const TOKEN: &str = "\
Examples:
  grantd token --issuer https://auth.example.com --client-id nightly \\
      --secret-file /etc/nightly/secret \\
      --resource https://billing.example.com/api
  grantd token … --scope 'invoice:read invoice:write' --format json
  grantd token … --format header | curl -H @- https://billing.example.com/api
  grantd token --issuer URL --client-id nightly --secret-file - <secret
  grantd token --issuer URL --client-id nightly --secret-credential nightly

Exit codes:
  0  a token was printed
  1  no token now: the server can't be reached or is busy, or a file can't be
     used; try again later
  2  the arguments are wrong
  3  the server refused: the secret, the API or a scope is wrong; trying again
     gets the same

The secret:
  A file holds the secret on one line; exactly one line feed at its end is no
  part of it. A file that everybody can read is refused, one that its group can
  read gets a warning: chmod 600 FILE.
  In a systemd service: LoadCredential=NAME:FILE, and --secret-credential NAME.

Files:
  Tokens are kept in --cache-dir, else in grantd-tokens below the first of
  these that is set: $CACHE_DIRECTORY (systemd's CacheDirectory=),
  $XDG_RUNTIME_DIR, $XDG_CACHE_HOME, $HOME/.cache. The folder has mode 0700, its
  files 0600; what another user owns or can read is not used. A token is kept
  for its issuer, client, API, scopes and secret: a new secret never gets the
  old token. It is served until less than a tenth of its lifetime is left (at
  least 60s, at most half of it), or what --renew-before says. Where the server
  can't be reached, it is served until it expires.

The server:
  https only; no redirect is followed and no proxy of the environment is used.
  The certificate must be of a CA that the system trusts (SSL_CERT_FILE,
  SSL_CERT_DIR), or of that in --ca-file. A server that can't be reached, or
  answers 429, 502, 503 or 504, is asked again until --timeout has passed, with
  growing waits and not before Retry-After.";

/// `grantd verify`
pub(super) const VERIFY: &str = "\
Examples:
  grantd token … | grantd verify --issuer https://auth.example.com \\
      --audience https://billing.example.com/api --scope invoice:read
  grantd verify token.txt --issuer URL --audience URI --jwks jwks.json
  grantd verify token.txt --issuer URL --audience URI --at 2026-11-23T08:30:00Z
  grantd verify token.txt --issuer URL --audience URI --format json
  grantd verify token.txt --issuer URL --audience URI \\
      --revocations revocations.json

Exit codes:
  0  the token is accepted: every rule holds
  1  the token could not be judged: a file can't be read or understood, or the
     keys can't be had
  2  the arguments are wrong
  3  the token is refused: the rules that are broken are named

The rules, in their order:
  form       three parts of base64url with two JSON objects, no member twice,
             at most 16 KiB
  typ        at+jwt (RFC 9068 section 4)
  alg        an algorithm with a public key, never none (RFC 8725 section 3.1)
  crit       nothing that must be understood
  kid        names exactly one key of the issuer's
  signature  holds by that key, with the algorithm that the key is for
  claims     iss, exp, aud, sub, client_id, iat and jti are there (RFC 9068
             section 2.2)
  iss        is --issuer, letter by letter
  aud        is --audience, or a list that has it
  exp        has not come
  nbf, iat   have come
  scope      has each --scope
  revoked    no operator made it void, where --revocations says who did what";

/// `grantd client snippet`
pub(super) const CLIENT_SNIPPET: &str = "\
Examples:
  grantd client snippet nightly --lang python --registry registry.d \\
      --issuer https://auth.example.com >nightly.py
  grantd client snippet nightly --lang curl --config /etc/grantd/grantd.toml
  grantd client snippet nightly --lang go --issuer https://auth.example.com \\
      --resource billing --secret-file /etc/nightly/secret

Exit codes:
  0  printed
  1  no such client, or it has several APIs and no default: they are listed
  2  the arguments are wrong
  3  the registry is refused by check

What next:
  Save the program, put the secret where its first lines say, and run it: it
  prints a token. docs/clients.md has the same with OAuth libraries.";

/// `grantd completions`
pub(super) const COMPLETIONS: &str = "\
Examples:
  grantd completions bash >/usr/share/bash-completion/completions/grantd
  source <(grantd completions bash)                   in this shell alone
  grantd completions zsh >/usr/share/zsh/site-functions/_grantd
  grantd completions fish >~/.config/fish/completions/grantd.fish

Exit codes:
  0  printed
  1  stdout can't be written
  2  the arguments are wrong";

/// `grantd man`
pub(super) const MAN: &str = "\
Examples:
  grantd man --dir /usr/local/share/man/man1
  grantd man --dir ./man1 && man -l ./man1/grantd-token.1

Exit codes:
  0  written: each file is printed
  1  the folder can't be written
  2  the arguments are wrong";
