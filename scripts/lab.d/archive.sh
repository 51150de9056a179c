# shellcheck shell=bash
# What the labs have in common: how they speak, and packages of the archive, fetched with a private
# configuration of apt. Sourced by scripts/lab and scripts/lab-git, which set ME, mirror, security_mirror and
# keyring.

say() { printf '%s: %s\n' "$ME" "$*" >&2; }
die() {
    printf '%s: error: %s\n' "$ME" "$1" >&2
    shift
    local line
    for line in "$@"; do printf '%s:   %s\n' "$ME" "$line" >&2; done
    exit 1
}
bad_usage() {
    printf '%s: error: %s\n' "$ME" "$1" >&2
    printf '%s:   see scripts/%s --help\n' "$ME" "$ME" >&2
    exit 2
}

# Where apt on this machine gets Debian from: the mirrors of its own release serve the older ones too.
find_mirrors() {
    local codename line
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016
    while IFS='|' read -r uri release; do
        case $release in
            "$codename") mirror=${mirror:-$uri} ;;
            "$codename-security" | "$codename/updates") security_mirror=${security_mirror:-$uri} ;;
        esac
    done < <(apt-get indextargets --format '$(REPO_URI)|$(RELEASE)' 'Created-By: Packages' 2>/dev/null)
    [[ -n $mirror && -n $security_mirror ]] ||
        die "apt on this machine names no mirror of Debian $codename and its security archive" \
            "name them with --mirror and --security-mirror"
    # It goes into a file of apt's.
    for line in "$mirror" "$security_mirror"; do
        [[ $line =~ ^(https?|file|copy):[^[:space:]]+$ ]] || die "\`$line\` is not the URL of a mirror"
    done
}

# A configuration of apt that shares nothing with this machine's but the proxies.
prepare_apt() {
    local dir=$1
    mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,log} \
        "$dir"/etc/{apt.conf.d,auth.conf.d,preferences.d,sources.list.d,trusted.gpg.d}
    : >"$dir/status"
    # shellcheck disable=SC2154
    cat >"$dir/etc/sources.list.d/lab.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: bullseye
Components: main
Signed-By: $keyring

Types: deb
URIs: $security_mirror
Suites: bullseye-security
Components: main
Signed-By: $keyring
SOURCES
    cat >"$dir/apt.conf" <<CONF
Dir::Etc "$dir/etc";
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Log "$dir/log";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
    apt-config dump 2>/dev/null | grep -iE '^Acquire::[a-z]+::Proxy' >>"$dir/apt.conf" || true
    export APT_CONFIG="$dir/apt.conf"
    # A day old is fresh enough: these suites have seen their last updates, or nearly so.
    if [[ -z $(find "$dir/updated" -mtime -1 2>/dev/null) ]] ||
        ! cmp -s "$dir/etc/sources.list.d/lab.sources" "$dir/updated"; then
        say "fetching the package lists of bullseye"
        apt-get -qq -o APT::Update::Error-Mode=any update ||
            die "the package lists cannot be fetched" \
                "check the network and the proxy variables, or name a --mirror"
        cp "$dir/etc/sources.list.d/lab.sources" "$dir/updated"
    fi
}

# Downloads a package (NAME or NAME=VERSION) into DIR and prints the path of the file; fails when the
# archive no longer has what its index lists.
download() {
    local dir=$1 package=$2
    (cd "$dir" && apt-get -qq download "$package" >&2) || return 1
    find "$dir" -name "${package%%=*}_*.deb" | head -n 1
}
