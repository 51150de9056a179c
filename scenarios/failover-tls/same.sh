# The certificate has to be the one that was in force before.
set -eu
now=$(sh "$(dirname "$0")/serial.sh")
was=$(cat /tmp/in-force)
[ "$now" = "$was" ] || { echo "in force is $was, but the server has $now"; exit 1; }
