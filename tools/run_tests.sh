#!/bin/bash
# All tests: builds and installs csp_ext, then runs GoogleTest, pg_regress, the isolation tests and TAP against private
# clusters. The last line counts them all: "N passed, N failed[, N skipped]". Exit status 1 if anything failed.
#
# A suite that crashes or runs nothing counts as one failure more.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

passed=0 failed=0 skipped=0
logs=build/test-logs

# count NAME PASSED FAILED SKIPPED STATUS: adds a suite's figures. STATUS is its exit status.
count() {
    local name=$1 p=$2 f=$3 s=$4 status=$5
    if [ "$f" -eq 0 ] && { [ "$status" -ne 0 ] || [ $((p + s)) -eq 0 ]; }; then
        echo "$name: ended with status $status after $p tests, which is a failure" >&2
        f=1
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf -- '-- %s: %d passed, %d failed, %d skipped (after %d s)\n' "$name" "$p" "$f" "$s" "$SECONDS"
}

matches() {
    grep -cE "$1" "$2" || true
}

attribute() {
    sed -n "s/.*<testsuites [^>]*\b$1=\"\([0-9]*\)\".*/\1/p" "$2" | head -n 1
}

object_checks() {
    say "shared objects"
    local log=$logs/objects.log status=0
    tools/check_objects.sh >"$log" || status=$?
    cat "$log"
    count "shared objects" "$(matches '^ok ' "$log")" "$(matches '^not ok ' "$log")" 0 "$status"
}

unit_tests() {
    say "unit tests"
    local name xml status tests failures skips
    for name in encoder_test training_test; do
        xml=$logs/$name.xml status=0 tests=0 failures=0 skips=0
        if [ -x "build/$name" ]; then
            OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 timeout 1200 \
                "build/$name" --gtest_brief=1 --gtest_output="xml:$xml" || status=$?
        else
            status=127
        fi
        if [ -e "$xml" ]; then
            tests=$(attribute tests "$xml") failures=$(attribute failures "$xml")
            skips=$(matches 'result="(skipped|suppressed)"' "$xml")
        fi
        count "$name" $((tests - failures - skips)) "$failures" "$skips" "$status"
    done
}

# pg_regress up to 15 writes "test NAME ... ok", from 16 on "ok 1 - NAME".
regression_tests() {
    say "regression tests"
    local log=$logs/regress.log status=0 files p f
    files=$(find test -path 'test/sql/*.sql' -o -path 'test/isolation/specs/*.spec' | wc -l)
    cluster_start "max_worker_processes = 16" "max_prepared_transactions = 4" "log_min_messages = warning"
    $MAKE --no-print-directory installcheck TAP_TESTS= >"$log" 2>&1 || status=$?
    cluster_stop
    cat "$log"
    p=$(matches '^(test| +)[[:space:]]*[A-Za-z0-9_-]+ +\.\.\. ok|^ok [0-9]+' "$log")
    f=$(matches '^(test| +)[[:space:]]*[A-Za-z0-9_-]+ +\.\.\. FAILED|^not ok [0-9]+' "$log")
    if [ "$f" -gt 0 ]; then
        cat regression.diffs output_iso/regression.diffs 2>/dev/null | head -n 400 || true
    fi
    [ $((p + f)) -eq "$files" ] || [ "$status" -ne 0 ] || status=1
    count "pg_regress" "$p" "$f" 0 "$status"
}

# The tests start their servers themselves, below a directory of the unprivileged user, who gets a copy of test/ and
# data/ there: the source tree may lie where only its owner may read.
tap_tests() {
    say "TAP tests"
    local log=$logs/tap.log status=0 pgxs_tests user directory f
    pgxs_tests=$(dirname "$("$PG_CONFIG" --pgxs)")/../test
    user=$(unprivileged_user)
    directory=$(mktemp -d "${TMPDIR:-/tmp}/csp_tap.XXXXXX")
    tap_directory=$directory tap_user=$user
    cp -r test data "$directory/"
    mkdir "$directory/libraries"
    cp build/faults.so build/faulty_training.so "$directory/libraries/"
    # Published checkpoints, which the project must not hold: the tests of them are skipped where they are absent.
    [ ! -d ../shared/reference ] || cp -r ../shared/reference "$directory/"
    chmod -R u+w "$directory"
    chown -R "$user" "$directory"
    if compgen -G 'test/tap/*.pl' >/dev/null; then
        as_unprivileged "$user" "$directory" env TMPDIR="$directory" \
            TESTDIR="$directory" TESTDATADIR="$directory/tmp_check" TESTLOGDIR="$directory/tmp_check/log" \
            PATH="$("$PG_CONFIG" --bindir):$PATH" PGPORT=65432 PG_REGRESS="$(realpath "$pgxs_tests/regress/pg_regress")" \
            CSP_TEST_LIBRARIES="$directory/libraries" CSP_REFERENCE="$directory/reference" PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-180}" \
            sh -c 'exec prove --verbose --merge -I "$1" -I test/tap test/tap/*.pl' \
            prove "$(realpath "$pgxs_tests/perl")" >"$log" 2>&1 || status=$?
        cat "$log"
    else
        : >"$log"
    fi
    f=$(grep -E '^not ok ' "$log" | grep -vc '# TODO' || true)
    if [ "$status" -ne 0 ]; then
        keep_server_logs "$directory"
        # Scripts that ended early, each one failure more: prove lists them with the tests that failed.
        f=$((f + $(matches '^test/tap/.*\(Wstat: .* Failed: 0\)' "$log")))
    fi
    tap_cleanup
    count "TAP" "$(grep -E '^ok ' "$log" | grep -vcE '# (SKIP|skip)' || true)" "$f" \
        "$(matches '^ok .*# (SKIP|skip)|^1\.\.0 # (SKIP|skip)' "$log")" "$status"
}

keep_server_logs() {
    mkdir -p "$logs/tap"
    find "$1/tmp_check" \( -name '*.log' -o -name 'regress_log_*' \) -exec cp {} "$logs/tap/" \; 2>/dev/null || true
}

# Servers that a test script left behind when it died.
tap_cleanup() {
    [ -n "${tap_directory:-}" ] || return 0
    local directory=$tap_directory pid_file
    tap_directory=
    find "$directory" -name postmaster.pid 2>/dev/null | while read -r pid_file; do
        as_unprivileged "$tap_user" "$directory" "$("$PG_CONFIG" --bindir)/pg_ctl" \
            stop -w -s -m immediate -D "$(dirname "$pid_file")" || true
    done
    rm -rf "$directory"
}

summary() {
    say "$("$PG_CONFIG" --version), $(uname -m), $SECONDS s"
    printf '%d passed, %d failed' "$passed" "$failed"
    [ "$skipped" -eq 0 ] || printf ', %d skipped' "$skipped"
    printf '\n'
}

# However the script ends: what it started goes, and the last line counts.
finished=
cleanup() {
    cluster_stop
    tap_cleanup
    if [ -z "$finished" ]; then
        failed=$((failed + 1))
        echo "the tests were broken off" >&2
    fi
    summary
    [ "$failed" -eq 0 ] || exit 1
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

rm -rf "$logs"
mkdir -p "$logs"
if tools/build_and_install.sh WERROR=1 all unit-tests; then
    object_checks
    unit_tests
    regression_tests
    tap_tests
else
    count "build" 0 1 0 1
fi
finished=yes
