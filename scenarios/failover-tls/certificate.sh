# Has a certificate issued, or renewed with --force. dehydrated makes the request, hook.sh puts it in place.
set -eu
cd "$(dirname "$0")"
assets=$PWD
mkdir -p /tmp/dehydrated
cat > /tmp/dehydrated/config << CONFIG
BASEDIR=/tmp/dehydrated
CA=https://acme.example.test:14000/dir
CHALLENGETYPE=http-01
WELLKNOWN=/tmp/web/.well-known/acme-challenge
HOOK=/tmp/dehydrated/hook
KEY_ALGO=prime256v1
# Of the account's key, which is an RSA key: 4096 bits take a minute to find under emulation.
KEYSIZE=2048
CURL_OPTS="--cacert /tmp/dehydrated/acme.pem"
CONFIG
printf '#!/bin/sh\nexec sh %s/hook.sh "$@"\n' "$assets" > /tmp/dehydrated/hook
chmod 755 /tmp/dehydrated/hook
# The ACME server's own certificate is trusted at first sight: it is as old as this trial.
openssl s_client -connect acme.example.test:14000 < /dev/null 2> /dev/null | openssl x509 > /tmp/dehydrated/acme.pem
dehydrated --config /tmp/dehydrated/config --register --accept-terms
dehydrated --config /tmp/dehydrated/config --cron --domain www.example.test "$@"
