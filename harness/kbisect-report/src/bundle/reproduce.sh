#!/bin/sh
# Repeats the trial that this bundle is about, and says whether it ends the same way.
#
#     ./reproduce.sh            exit status: 0 the same, 1 another verdict or symptom, 2 it cannot run
#
# It needs qemu-system-x86_64 7.2 or newer, and kbisect of the same version: bin/kbisect of this
# bundle, $KBISECT, or the one in PATH, in this order. kbisect carries the frames between the virtual
# machines and talks to its program in them; QEMU's command line alone (trials/*/candidate/qemu.cmdline)
# would boot a machine without neighbours. Nothing needs root rights.
#
# Kernels and root image are taken from cache/ in this bundle where they are included (--with-kernel,
# --with-image). Otherwise kernels are fetched from where they came from (of the Debian archive by their
# SHA-256), and the root image is built, which needs what scripts/deps of kbisect installs.
set -eu

# @variables@

fail() {
    echo "reproduce.sh: $*" >&2
    exit 2
}

here=$(cd "$(dirname "$0")" && pwd)

if [ -x "$here/bin/kbisect" ]; then
    tool=$here/bin/kbisect
elif [ -n "${KBISECT:-}" ]; then
    tool=$KBISECT
else
    tool=$(command -v kbisect) || fail "kbisect $TOOL_VERSION is needed: put it into PATH, or name it in KBISECT"
fi
version=$("$tool" --version) || fail "$tool cannot be run here"
[ "$version" = "kbisect $TOOL_VERSION" ] ||
    echo "reproduce.sh: note: the bundle was made by kbisect $TOOL_VERSION, $tool is $version" >&2
[ -n "$KERNEL_ID" ] || fail "the run has no trial to repeat"

out=${OUT:-$here/reproduced}
mkdir -p "$out" 2>/dev/null || fail "$out cannot be written: unpack the bundle where you may write, or set OUT"

# A boot shows more than a saved state of one, and leaves none in the bundle's cache.
set -- run "$KERNEL_ID" --scenario "$here/scenario" --results "$out" --cold
[ -z "$REFERENCE_ID" ] || set -- "$@" --reference "$REFERENCE_ID"
# Symptoms are compared as a search compares them: the same failure can have other words.
[ "$VERDICT" != bad ] || set -- "$@" --like "$here/$TRIAL/trial.json"
[ ! -f "$here/image/image.toml" ] || set -- "$@" --image "$here/image"
[ -z "$PLACEMENT" ] || set -- "$@" --placement "$PLACEMENT"
[ -z "$BOOT" ] || set -- "$@" --boot "$BOOT"
[ "$CRYPTO_TESTS" != yes ] || set -- "$@" --crypto-tests
for source in "$KERNEL_SOURCE" "$REFERENCE_SOURCE"; do
    case $source in
    snapshot | ubuntu-mainline) set -- "$@" --source "archive,$source" ;;
    esac
done
if [ -d "$here/cache" ]; then
    set -- "$@" --cache "$here/cache"
fi
if [ "$HAS_KERNELS" = yes ] && [ "$HAS_IMAGE" = yes ]; then
    set -- "$@" --offline
fi

echo "kernel $KERNEL_PACKAGE ($KERNEL_SOURCE), id $KERNEL_ID"
echo "+ $tool $*"
status=0
"$tool" "$@" || status=$?
case $status in
0) seen=good ;;
1) seen=bad ;;
125) seen=skip ;;
*) fail "the trial could not be made (exit status $status); see above. Kernel: $KERNEL_PACKAGE from $KERNEL_SOURCE" ;;
esac

# Run ids have no blanks in them.
# shellcheck disable=SC2012
newest=$(ls -td "$out"/*/result.json | head -n 1)
if [ "$seen" != "$VERDICT" ]; then
    echo "DIFFERENT: $seen here, $VERDICT in the report; see ${newest%/*}/report.html"
    exit 1
fi
if [ "$VERDICT" = bad ] && { grep -qF '"how": "different"' "$newest" || ! grep -qF '"how": ' "$newest"; }; then
    echo "DIFFERENT: bad, but with another symptom than $KIND: $TITLE; see ${newest%/*}/report.html"
    exit 1
fi
echo "REPRODUCED: $VERDICT${KIND:+, $KIND}; see ${newest%/*}/report.html"
