# wireguard.sh DEVICE PORT NODE OTHER-NODE ENDPOINT
#
# Keys for this scenario alone: those of the host are in no dump, and are nobody's business. Both nodes
# make both keys from their names, so that each knows the other's public one.
set -eu
device=$1 port=$2 own=$3 other=$4 endpoint=$5

key() { printf '%-32.32s' "$device on $1 for kbisect" | base64; }

umask 077
key "$own" > "/tmp/$device.key"
wg set "$device" listen-port "$port" private-key "/tmp/$device.key" \
    peer "$(key "$other" | wg pubkey)" allowed-ips 0.0.0.0/0,::/0 endpoint "$endpoint:$port"
