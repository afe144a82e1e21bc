#!/bin/sh
# The ABI of libstdc++ that a LibTorch was compiled for: prints 1 (new) or 0 (as the "pre-cxx11" archives).
# usage: libtorch_abi.sh PREFIX
set -eu
config="$1/share/cmake/Torch/TorchConfig.cmake"
abi=$(sed -n 's/.*_GLIBCXX_USE_CXX11_ABI=\([01]\).*/\1/p' "$config" 2>/dev/null | head -n 1)
if [ -z "$abi" ]; then
    # Only the new ABI has its strings in the namespace std::__cxx11.
    if grep -q -a '__cxx11' "$1/lib/libc10.so" 2>/dev/null; then abi=1; else abi=0; fi
fi
# Nothing there at all: check_dependencies.sh says so, here the default keeps make going until then.
[ -e "$1/lib/libc10.so" ] || abi=1
echo "$abi"
