# What the automation should have been: a jump that is there is not appended again.
set -eu
from=OUTPUT
for number in $(seq -w 1 20); do
    chain=policy-$number
    iptables-legacy -n -L "$chain" > /dev/null 2>&1 || iptables-legacy -N "$chain"
    iptables-legacy -C "$from" -j "$chain" 2> /dev/null || iptables-legacy -A "$from" -j "$chain"
    from=$chain
done
