#!/bin/bash
# The main job on the sample data, in a private cluster: installs what is missing, builds, trains, evaluates on rows held
# back, queries (tools/demo.sql), and removes what it started. No existing cluster is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

tools/build_and_install.sh
say "starting a private cluster ($("$PG_CONFIG" --version))"
prepared=$SECONDS
cluster_start "log_min_messages = warning"
psql --no-psqlrc --quiet <tools/demo.sql

say "what it took"
libraries=$("$PG_CONFIG" --pkglibdir)
echo "database            $(psql -XAtc 'SELECT pg_size_pretty(pg_database_size(current_database()))')"
for object in csp_ext.so csp_train.so; do
    echo "$(printf '%-19s' "$object") $(size "$libraries/$object" | awk 'NR == 2 { printf "%.1f MB of code and data", $4 / 1e6 }')"
done
echo "preparing           $prepared s (dependencies, build, installation)"
echo "the demo itself     $((SECONDS - prepared)) s on $(nproc) processors"
