#!/bin/bash
# Dependencies, build and installation in one go. Arguments go to make: variables and targets to build (default: all).
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh

[ $# -gt 0 ] || set -- all
tools/install_dependencies.sh
say "building"
# shellcheck disable=SC2046
$MAKE --no-print-directory $(make_jobs) "$@"
say "installing into $("$PG_CONFIG" --pkglibdir)"
if [ -w "$("$PG_CONFIG" --pkglibdir)" ] && [ -w "$("$PG_CONFIG" --sharedir)/extension" ]; then
    $MAKE --no-print-directory install >/dev/null
else
    as_root "$MAKE" --no-print-directory install >/dev/null
fi
