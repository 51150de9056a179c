# Waits until a server answers over the virtual address. Its limit is that of the step.
# Usage: answers.sh NAME
set -eu
while [ "$(curl -sk --max-time 1 https://www.example.test/name)" != "$1" ]; do sleep 0.2; done
