#!/bin/bash
# Installs what building, testing and running csp_ext needs and is not there yet (Debian 12 and 13, through apt).
#
# Creates, starts and stops no cluster: PostgreSQL's package would create one named main when it is installed for the
# first time, which a setting prevents for the time of the installation.
# Arguments: packages to install beyond those.
# Environment: PG_CONFIG, LIBTORCH. With a PG_CONFIG that is not Debian's no PostgreSQL package is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

if ! command -v apt-get >/dev/null; then
    tools/check_dependencies.sh || fail "only Debian's package manager is known here: install these yourself"
    exit 0
fi

apt() {
    local log status=0
    log=$(mktemp)
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" \
        >"$log" 2>&1 </dev/null || status=$?
    [ "$status" -eq 0 ] || tail -n 30 "$log" >&2
    rm -f "$log"
    return "$status"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

has_candidate() {
    apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [0-9]' >/dev/null
}

# The PostgreSQL to build for: PG_CONFIG's if it can build, else the release's own.
postgresql_major() {
    if [ -e "$("$PG_CONFIG" --pgxs 2>/dev/null || true)" ]; then
        "$PG_CONFIG" --version | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p'
    else
        apt-cache policy postgresql | sed -n 's/^  Candidate: \([0-9]*\).*/\1/p'
    fi
}

is_debians_postgresql() {
    [ ! -e "$("$PG_CONFIG" --pgxs 2>/dev/null || true)" ] || [[ "$("$PG_CONFIG" --bindir)" == /usr/lib/postgresql/* ]]
}

wanted_packages() {
    local major=$1
    echo g++ make perl libgtest-dev libipc-run-perl "${further_packages[@]}"
    if grep -rqsE '#include <nlohmann/' src test/unit; then echo nlohmann-json3-dev; fi
    if grep -rqsE '#include <Eigen/' src test/unit; then echo libeigen3-dev; fi
    if [ -z "${LIBTORCH:-}" ]; then echo libtorch-dev libgloo-dev libopenblas0-pthread; fi
    if is_debians_postgresql; then
        echo "postgresql-$major" "postgresql-server-dev-$major" "postgresql-$major-postgis-3"
        # Not in every release; without it the tests with pgvector's types are skipped.
        if has_candidate "postgresql-$major-pgvector"; then echo "postgresql-$major-pgvector"; fi
    fi
}

further_packages=("$@")

updated=
update_once() {
    [ -z "$updated" ] || return 0
    updated=yes
    apt update || echo "apt-get update failed; going on with what apt knows" >&2
}

missing_packages() {
    local package
    for package in $(wanted_packages "$1"); do
        is_installed "$package" || echo "$package"
    done
}

# Installs packages while PostgreSQL's own packages create no cluster.
cluster_confs=/etc/postgresql-common/createcluster.d
no_cluster_conf=$cluster_confs/zz-csp_ext-installation.conf
made_cluster_confs=
allow_main_cluster() {
    as_root rm -f "$no_cluster_conf"
    [ -z "$made_cluster_confs" ] || as_root rmdir -p "$cluster_confs" 2>/dev/null || true
}
install_packages() {
    [ -d "$cluster_confs" ] || made_cluster_confs=yes
    trap allow_main_cluster EXIT
    as_root mkdir -p "$cluster_confs"
    echo 'create_main_cluster = false' | as_root tee "$no_cluster_conf" >/dev/null
    apt install --no-install-recommends -y "$@"
    allow_main_cluster
    trap - EXIT
}

# Debian chooses the fastest BLAS by itself, unless somebody once chose the slow reference one by hand.
use_openblas() {
    local name alternative value
    for name in libblas.so.3 liblapack.so.3; do
        alternative=$name-$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)
        value=$(update-alternatives --query "$alternative" 2>/dev/null | sed -n 's/^Value: //p')
        case "$value" in
            */blas/* | */lapack/*)
                say "$name was the reference implementation: back to the fastest one"
                as_root update-alternatives --auto "$alternative" >/dev/null
                ;;
        esac
    done
}

major=$(postgresql_major)
if [ -z "$major" ]; then
    update_once
    major=$(postgresql_major)
fi
[ -n "$major" ] || fail "apt knows no package postgresql: is its list of sources complete?"

if [ -n "$(missing_packages "$major")" ]; then
    update_once
    mapfile -t packages < <(missing_packages "$major")
    say "installing ${packages[*]}"
    install_packages "${packages[@]}"
fi
[ -n "${LIBTORCH:-}" ] || use_openblas
