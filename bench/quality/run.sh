#!/bin/bash
# What pre-training brings on the sample data: the figures of doc/quality.md, in a private cluster.
#
#   bench/quality/run.sh            everything that results.csv does not have yet: hours on one core
#   bench/quality/run.sh quick      one seed, the main cells, results in a temporary file: some minutes
#   bench/quality/run.sh PART...    baselines, calibration (figures of doc/fusion.md), or parts of study.py (see there)
#
# What results.csv has is not computed again: a study that was interrupted goes on.
#
# csp_ext has to be installed (make install) with training. Python 3 needs NumPy, psycopg2 and scikit-learn, and matplotlib for
# the plot: on Debian python3-numpy python3-psycopg2 python3-sklearn python3-matplotlib. Nothing is installed here.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tools/common.sh
. tools/private_cluster.sh

# Debian's modules belong to Debian's Python, which need not be the first in the PATH.
python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import numpy, psycopg2, sklearn' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || fail "no Python 3 with numpy, psycopg2 and sklearn (Debian: python3-numpy python3-psycopg2 python3-sklearn)"
[ -e "$("$PG_CONFIG" --pkglibdir)/csp_train.so" ] || fail "csp_ext with training is not installed for $PG_CONFIG: make install"

quick= parts="baselines main mixture supervised-mixture objectives longer ablations random-objectives random-mixture defaults more
       random-ablations train-ablations calibration"
if [ "${1:-}" = quick ]; then
    shift
    quick=quick parts="baselines main"
    CSP_QUALITY_RESULTS=$(mktemp -u --suffix=.csv)
    export CSP_QUALITY_RESULTS
fi
parts=${*:-$parts}

cluster_start "log_min_messages = warning" "max_worker_processes = 8"
psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
\i data/load.sql
\i bench/quality/draws.sql
SQL

# The image classifiers that a prior is fused with come from here, whatever the parts.
case " $parts " in *" baselines "*) only= ;; *) only=image ;; esac
OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "$python" bench/quality/baselines.py $quick $only
for part in $parts; do
    case $part in
        baselines) ;;
        calibration) psql -Xq -f bench/quality/calibration.sql ;;
        *) "$python" bench/quality/study.py $quick "$part" ;;
    esac
done
"$python" bench/quality/report.py $quick
