#!/bin/bash
# The tests in a Debian 13 of their own (PostgreSQL 17, LibTorch 2.6): makes a root with debootstrap, copies the source
# tree into it and runs `make test` there. Its last line is that of `make test`.
#
# The packages come from where this machine's apt gets its own, with the same settings. Needs root and about 4 GB.
# Exit status 77: no such root can be made here. Environment: CSP_DEBIAN13_ROOT, a directory to keep the root in for the
# next call; without it the root is removed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

suite=trixie

skip() {
    echo "skipped: $*"
    exit 77
}

# "RELEASE URI" of each archive that this machine's apt reads Debian from.
archives() {
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | sort -u |
        grep -E "^$codename(-updates|-security)? " || true
}

# The same archives' lines for the suite.
sources_list() {
    archives | while read -r release uri; do
        echo "deb $uri ${release/#"$codename"/"$suite"} main"
    done
}

make_root() {
    local mirror
    mirror=$(archives | awk -v codename="$codename" '$1 == codename { print $2; exit }')
    [ -n "$mirror" ] || skip "apt's sources name no Debian archive"
    say "making a Debian root ($suite)"
    debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 ||
        { tail -n 5 "$root.log"; skip "debootstrap failed"; }
    rm -f "$root.log"
    sources_list >"$root/etc/apt/sources.list"
    carry_settings
    touch "$scratch/complete"
}

# Proxies, keys and certificates: the root reaches the archive in the same way as this machine.
carry_settings() {
    local path
    for path in /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/auth.conf.d /etc/apt/keyrings /etc/apt/trusted.gpg.d \
        /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt; do
        [ -e "$path" ] || continue
        mkdir -p "$root$(dirname "$path")"
        cp -rL --remove-destination "$path" "$root$(dirname "$path")/"
    done
}

# The tree as a fresh clone would have it, and the reference values beside it if there are any.
copy_sources() {
    rm -rf "$root/source" && mkdir -p "$root/source/csp_ext"
    git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
        while IFS= read -r -d '' file; do [ ! -e "$file" ] && [ ! -L "$file" ] || printf '%s\0' "$file"; done |
        tar -c --null --no-recursion -T - | tar -x --no-same-owner -C "$root/source/csp_ext"
    if [ -d ../shared/reference ]; then
        mkdir -p "$root/source/shared"
        cp -r ../shared/reference "$root/source/shared/"
        chmod -R a-w "$root/source/shared"
    fi
}

# Runs a command in the root. Mounts and processes live in namespaces of their own: when the command ends, or this
# script is killed, the kernel removes both.
in_root() {
    unshare --mount --pid --fork --kill-child --propagation private bash -c '
        set -e
        mount -t proc proc "$1/proc"
        mkdir -p "$1/dev/shm" "$1/dev/pts"
        mount -t tmpfs tmpfs "$1/dev/shm"
        mount -t devpts -o newinstance,ptmxmode=0666 devpts "$1/dev/pts"
        root=$1
        shift
        exec chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 TERM=dumb DEBIAN_FRONTEND=noninteractive \
            CI="${CI:-}" http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" "$@"
    ' in_root "$root" "$@"
}

remove_root() {
    [ -n "${CSP_DEBIAN13_ROOT:-}" ] || rm -rf "$scratch"
}

[ "$(id -u)" -eq 0 ] || skip "making a Debian root needs root"
command -v apt-get >/dev/null || skip "not a Debian machine"
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
if ! command -v debootstrap >/dev/null; then
    { apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install debootstrap; } \
        >/dev/null 2>&1 || skip "debootstrap is not there and cannot be installed"
fi
unshare --mount --pid --fork true 2>/dev/null || skip "this machine does not allow namespaces"

scratch=${CSP_DEBIAN13_ROOT:-$(mktemp -d "${TMPDIR:-/var/tmp}/csp_ext-debian13.XXXXXX")}
root=$scratch/root
trap remove_root EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir -p "$scratch"
[ -e "$scratch/complete" ] || make_root
copy_sources
in_root bash -c '
    command -v make >/dev/null || { apt-get -qq update && apt-get -qq -y --no-install-recommends install make >/dev/null; }
    cd /source/csp_ext && exec make --no-print-directory test'
