#!/bin/sh
# Prints an access token of grantd. Needs curl 7.76 or later. Made by `grantd client snippet`.
# {{about}}
set -eu

issuer={{issuer}}
metadata_url={{metadata}}
client_id={{client_id}}
resource={{resource}}
scope={{scope}}
# The file of the secret, which this user alone may read. A relative name is looked for where systemd's
# LoadCredential= puts it, else in the current folder.
secret_file={{secret_file}}

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

fetch() { curl --silent --show-error --fail-with-body --proto =https --max-time 30 "$@"; }

# A member of a JSON object on standard input: a text, a number.
text() { sed -n 's/.*"'"$1"'" *: *"\([^"]*\)".*/\1/p'; }
number() { sed -n 's/.*"'"$1"'" *: *\([0-9]*\).*/\1/p'; }

# A token is kept for the next run until a minute before it expires, for this user alone.
umask 077
sum=$(printf '%s\n' "$issuer" "$client_id" "$resource" "$scope" | cksum)
folder=${XDG_CACHE_HOME:-${HOME:?}/.cache}/grantd-snippet
cache=$folder/$client_id-${sum%% *}
now=$(date +%s)
if [ -r "$cache" ] && { read -r until && read -r token; } <"$cache" && [ "$until" -gt "$now" ]; then
  printf '%s\n' "$token"
  exit
fi

metadata=$(fetch "$metadata_url") || fail "no metadata at $metadata_url"
[ "$(printf '%s\n' "$metadata" | text issuer)" = "$issuer" ] || fail "$metadata_url is of another issuer"
endpoint=$(printf '%s\n' "$metadata" | text token_endpoint)

case $secret_file in
  /*) ;;
  *) secret_file=${CREDENTIALS_DIRECTORY:-.}/$secret_file ;;
esac
[ -r "$secret_file" ] || fail "cannot read the secret's file $secret_file"
# The secret goes by a pipe: arguments are there for everybody to see.
answer=$(
  tr -d '\r\n' <"$secret_file" |
    fetch --data-urlencode client_secret@- --data-urlencode "client_id=$client_id" \
      --data-urlencode grant_type=client_credentials --data-urlencode "resource=$resource" \
      --data-urlencode "scope=$scope" "$endpoint"
) || fail "no token: $answer"
token=$(printf '%s\n' "$answer" | text access_token)
lifetime=$(printf '%s\n' "$answer" | number expires_in)
[ -n "$token" ] && [ -n "$lifetime" ] || fail 'an answer without a token'

mkdir -p "$folder" && new=$(mktemp "$cache.XXXXXX") &&
  printf '%s\n' "$((now + lifetime - 60))" "$token" >"$new" && mv "$new" "$cache" ||
  printf '%s: the token is not kept for the next run\n' "${0##*/}" >&2
printf '%s\n' "$token"
