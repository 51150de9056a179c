#!/bin/sh -eu
# The configuration tool: brings this host's web server and packet filter to a configuration, `old` or
# `new`. Nothing is done where they are so already.
configuration=$1
case $configuration in
    old) server=old.conf rules=old.nft ;;
    new) server=new.conf rules=new.nft ;;
    *) echo "no configuration '$configuration'" >&2; exit 1 ;;
esac
cd "$KBISECT_ASSETS"

if [ -e /run/web.conf ] && cmp -s "$server" /run/web.conf; then exit 0; fi
cp "$server" /run/web.conf
seq 1000000 1008191 > /tmp/payload
nft -f "$rules"

# A server that runs takes it over while it answers.
[ -s /run/nginx.pid ] || exit 0
kill -HUP "$(cat /run/nginx.pid)"
for _ in $(seq 50); do
    if curl -s http://127.0.0.1/status | grep -q "^configuration $configuration\$"; then exit 0; fi
    sleep 0.1
done
echo "the web server did not take the $configuration configuration" >&2
exit 1
