# A PostgreSQL cluster of one's own, for a script's lifetime. To be sourced, with bash, after tools/common.sh.
#
#   cluster_start [name=value...]   initdb and start; the arguments are settings for postgresql.conf
#   cluster_stop                    stop and remove; runs by itself at the script's end, also on Ctrl-C
#
# The cluster lies in a directory of mktemp and listens on a Unix socket there and nowhere else, so that it meets no
# other cluster. cluster_start sets PGHOST, PGPORT, PGUSER and PGDATABASE to it, and puts its programs into the PATH.

cluster_dir=
cluster_user=

# PostgreSQL refuses to run as root: then a system user without rights takes its place.
unprivileged_user() {
    if [ "$(id -u)" -ne 0 ]; then
        id -un
    elif id postgres >/dev/null 2>&1; then
        echo postgres
    else
        echo nobody
    fi
}

# as_unprivileged USER DIRECTORY COMMAND...: the command as USER, in DIRECTORY, which is also its home.
as_unprivileged() {
    local user=$1 directory=$2
    shift 2
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env -C "$directory" HOME="$directory" "$@"
    else
        env -C "$directory" "$@"
    fi
}

cluster_start() {
    local bindir setting
    bindir=$("$PG_CONFIG" --bindir)
    # Nothing of the caller's environment may lead to another server.
    for setting in $(compgen -e | grep -E '^PG[A-Z]' || true); do
        unset "$setting"
    done
    cluster_user=$(unprivileged_user)
    # A script with a cleanup of its own calls cluster_stop there.
    [ -n "$(trap -p EXIT)" ] || trap cluster_stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    cluster_dir=$(mktemp -d "${TMPDIR:-/tmp}/csp_ext.XXXXXX")
    [ ${#cluster_dir} -lt 80 ] || fail "the path $cluster_dir is too long for a socket: set TMPDIR to a shorter one"
    chown "$cluster_user" "$cluster_dir"
    as_unprivileged "$cluster_user" "$cluster_dir" "$bindir/initdb" -D "$cluster_dir/data" \
        --username=postgres --auth=trust --encoding=UTF8 --locale=C --no-sync >"$cluster_dir/initdb.log" 2>&1 ||
        { cat "$cluster_dir/initdb.log" >&2; fail "initdb failed"; }
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$cluster_dir'"
        echo "fsync = off"
        for setting in "$@"; do echo "$setting"; done
    } >>"$cluster_dir/data/postgresql.conf"
    as_unprivileged "$cluster_user" "$cluster_dir" \
        "$bindir/pg_ctl" start -w -s -D "$cluster_dir/data" -l "$cluster_dir/server.log" ||
        { tail -n 30 "$cluster_dir/server.log" >&2; fail "the private cluster does not start"; }
    export PGHOST=$cluster_dir PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    export PATH="$bindir:$PATH"
}

cluster_stop() {
    [ -n "$cluster_dir" ] || return 0
    local directory=$cluster_dir pg_ctl
    pg_ctl=$("$PG_CONFIG" --bindir)/pg_ctl
    cluster_dir=
    unset PGHOST PGPORT PGUSER PGDATABASE
    if [ -e "$directory/data/postmaster.pid" ]; then
        as_unprivileged "$cluster_user" "$directory" "$pg_ctl" stop -w -s -m fast -t 20 -D "$directory/data" ||
            as_unprivileged "$cluster_user" "$directory" "$pg_ctl" stop -w -s -m immediate -D "$directory/data" || true
    fi
    rm -rf "$directory"
}
