#!/bin/bash
# Checks the built shared objects for what no compiler reports. Prints one "ok" or "not ok" line a check.
set -euo pipefail
cd "$(dirname "$0")/.."

# check DESCRIPTION OFFENDERS: passes if there are none.
check() {
    if [ -z "$2" ]; then
        echo "ok - $1"
    else
        echo "not ok - $1"
        printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
    fi
}

for object in csp_ext.so csp_train.so; do
    if [ ! -e "$object" ]; then
        echo "not ok - $object is there"
        exit 1
    fi
done

needed() {
    readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'
}

check "csp_ext.so needs no LibTorch and no BLAS" "$(needed csp_ext.so | grep -E 'torch|c10|blas|gomp' || true)"
# The server's symbols are resolved when it loads the module, ours must be inside: the linker cannot tell them apart.
check "csp_ext.so defines all of its own functions" "$(nm -C --undefined-only csp_ext.so | grep 'csp::' || true)"
for object in csp_ext.so csp_train.so; do
    check "$object exports no C++ name" "$(nm -D --defined-only "$object" | grep ' _Z' || true)"
done
check "csp_train.so exports its table of functions and nothing else" \
    "$(nm -D --defined-only csp_train.so | awk '$3 != "csp_training_library" { print }
        $3 == "csp_training_library" { found = 1 } END { if (!found) print "csp_training_library is missing" }')"
# An inline function of a header, compiled for AVX-512 and kept by the linker for everybody, would kill the server
# on a machine without AVX-512.
for object in src/encoder/kernel_avx*.o; do
    [ -e "$object" ] || continue
    check "$object shares no inline function" "$(nm -C --defined-only "$object" | grep -E ' [WVu] ' || true)"
done
