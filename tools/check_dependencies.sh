#!/bin/bash
# Names what is missing to build csp_ext, all in one message, with the Debian package that brings it.
# Environment: PG_CONFIG, LIBTORCH, CXX. Exit status 1 if something that the build itself needs is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

pg_config=${PG_CONFIG:-pg_config}
cxx=${CXX:-g++}
major=$("$pg_config" --version 2>/dev/null | sed -n 's/^PostgreSQL \([0-9]*\).*/\1/p' || true)
required=()
recommended=()

# finds_header HEADER [FLAG...]: whether the compiler finds it. Asks without reading the header: torch.h takes seconds.
finds_header() {
    local header=$1
    shift
    if ! command -v "$cxx" >/dev/null; then
        [ -e "/usr/include/$header" ] || [ -e "/usr/include/eigen3/$header" ] ||
            [ -e "${LIBTORCH:-/usr}/include/torch/csrc/api/include/$header" ]
        return
    fi
    printf '#if !__has_include(<%s>)\n#error missing\n#endif\n' "$header" |
        "$cxx" "$@" -std=c++17 -x c++ -fsyntax-only - 2>/dev/null
}

finds_library() {
    command -v "$cxx" >/dev/null || return 0
    [ "$("$cxx" "${@:2}" -print-file-name="$1")" != "$1" ]
}

uses_header() {
    grep -rqsE "#include <$1" src test/unit
}

if ! command -v "$cxx" >/dev/null; then
    required+=("the C++ compiler $cxx: package g++")
fi
pgxs=$("$pg_config" --pgxs 2>/dev/null || true)
if [ -z "$major" ] || [ ! -e "$pgxs" ]; then
    required+=("PostgreSQL's build files (asked '$pg_config --pgxs'): package postgresql-server-dev-${major:-NN}, or set PG_CONFIG")
elif [ ! -e "$("$pg_config" --sharedir)/extension/postgis.control" ]; then
    recommended+=("PostGIS, without which CREATE EXTENSION csp_ext fails: package postgresql-$major-postgis-3")
fi

torch=(-isystem "${LIBTORCH:-/usr}/include/torch/csrc/api/include")
library=()
[ -z "${LIBTORCH:-}" ] || { torch+=(-isystem "$LIBTORCH/include"); library=(-B"$LIBTORCH/lib/"); }
if ! finds_header torch/torch.h "${torch[@]}" || ! finds_library libtorch_cpu.so "${library[@]}"; then
    required+=("LibTorch${LIBTORCH:+ in $LIBTORCH}: package libtorch-dev, or set LIBTORCH to the prefix of an upstream one")
fi
if [ -z "${LIBTORCH:-}" ] && ! finds_header gloo/context.h; then
    recommended+=("Gloo, without which option workers of csp_train is refused: package libgloo-dev")
fi
if uses_header nlohmann/ && ! finds_header nlohmann/json.hpp; then
    required+=("JSON for Modern C++: package nlohmann-json3-dev")
fi
if uses_header Eigen/ && ! finds_header Eigen/Core -isystem /usr/include/eigen3; then
    required+=("Eigen: package libeigen3-dev")
fi
if ! finds_header gtest/gtest.h; then
    recommended+=("GoogleTest, for make test-unit: package libgtest-dev")
fi
blas=$(ldconfig -p 2>/dev/null | grep -c libopenblas || true)
if [ -z "${LIBTORCH:-}" ] && [ "$blas" -eq 0 ]; then
    recommended+=("OpenBLAS, without which training runs on the slow reference BLAS: package libopenblas0-pthread")
fi

if [ ${#recommended[@]} -gt 0 ]; then
    echo "csp_ext builds without, but you will want:" >&2
    printf '  - %s\n' "${recommended[@]}" >&2
fi
if [ ${#required[@]} -gt 0 ]; then
    echo "csp_ext cannot be built here. Missing:" >&2
    printf '  - %s\n' "${required[@]}" >&2
    echo "On Debian, 'make deps' installs all of it." >&2
    exit 1
fi
