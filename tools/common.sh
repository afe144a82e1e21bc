# What the scripts in tools/ and bench/ share. To be sourced, with bash, from the top of the source tree.

export PG_CONFIG=${PG_CONFIG:-pg_config}
MAKE=${MAKE:-make}

say() {
    printf '== %s\n' "$*"
}

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Runs a command as root, through sudo if need be.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=PG_CONFIG,LIBTORCH "$@"
    else
        fail "this needs root, and there is no sudo: $*"
    fi
}

# The parallel jobs of a make: as many as there are processors, unless a make above already shares out its own.
make_jobs() {
    case "${MAKEFLAGS:-}" in
        *jobserver*) ;;
        *) echo "-j$(nproc)" ;;
    esac
}
