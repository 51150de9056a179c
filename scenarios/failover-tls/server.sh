# Sets a server up, at each start: names, folders, a payload, and the certificate. The other server's, when that
# has one; else one that nobody trusts, so that there is something to start with.
# Usage: server.sh ADDRESS-OF-THE-OTHER
set -eu
echo nameserver 192.0.2.53 > /etc/resolv.conf
mkdir -p /tmp/tls /tmp/web/.well-known/acme-challenge
hostname > /tmp/web/name
seq 1000000 1008191 > /tmp/web/payload
echo "$1" > /tmp/other

# -t: a server that is off is not waited for.
if printf 'get\n' | socat -t 2 - "TCP:$1:9000,connect-timeout=1" > /tmp/tls/both.pem 2> /dev/null \
    && grep -q 'BEGIN CERTIFICATE' /tmp/tls/both.pem; then
    exit 0
fi
cd /tmp/tls
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=none \
    -keyout key.pem -out cert.pem 2> /dev/null
cat key.pem cert.pem > both.pem
