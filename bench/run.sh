#!/bin/bash
# make bench: what csp_ext takes, beside what a user would do otherwise, in one run. Ratios hold on a noisy machine,
# single figures do not. The last part trains 20 models and takes some minutes; CSP_BENCH=quick leaves it out.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

tools/build_and_install.sh
tools/install_dependencies.sh python3-numpy python3-psycopg2 python3-torch python3-sklearn
${MAKE:-make} -s bench-programs

say "one location and a batch: csp_ext beside LibTorch's C++ API, in turns"
OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 build/torch_bench

say "the kernels"
build/encoder_bench
build/encoding_bench grid 64 kernels

say "position encodings: csp_ext beside NumPy, one thread each, in turns"
# Debian's modules belong to Debian's Python, which need not be the first in the PATH.
python=python3
python3 -c 'import numpy, psycopg2, torch' 2>/dev/null || python=/usr/bin/python3
"$python" bench/encodings.py

cluster_start "log_min_messages = warning" "max_wal_size = 4GB"
psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
\i data/load.sql
CALL csp_train('bench', 'observations', 'geom', 'features', 'label',
    '{"hidden_layers": 1, "hidden_dim": 512, "embedding_dim": 256, "frequencies": 64, "pretrain_epochs": 1, "epochs": 1}');
SQL

say "a fresh session, five times: the first csp_embed, the second, and the memory"
for _ in 1 2 3 4 5; do
    psql -X -v ON_ERROR_STOP=1 -f bench/session.sql 2>&1 | sed -n 's/.*NOTICE: *//p'
done

say "rows a second in SQL, one row at a time (csp_embed, 256-d, hidden 512; 60,000 rows)"
psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
SET max_parallel_workers_per_gather = 0;
CREATE TABLE many AS SELECT geom FROM observations, generate_series(1, 10);
DO $$
DECLARE started timestamptz; plain float8; embed float8;
BEGIN
    FOR i IN 1..5 LOOP
        started := clock_timestamp();
        PERFORM count(ST_X(geom)) FROM many;
        plain := extract(epoch FROM clock_timestamp() - started);
        started := clock_timestamp();
        PERFORM count(csp_embed(geom, 'bench')) FROM many;
        embed := extract(epoch FROM clock_timestamp() - started);
        RAISE NOTICE '% rows/s, % us a row (ST_X: % us)', round(60000 / embed), round((embed / 0.06)::numeric, 2), round((plain / 0.06)::numeric, 2);
    END LOOP;
END $$;
SQL

say "batched execution, beside the alternatives"
# shellcheck disable=SC2086
"$python" bench/batch.py ${CSP_BENCH:-}

say "a million cells of a prior"
# shellcheck disable=SC2086
"$python" bench/grids.py ${CSP_BENCH:-}

say "tiles of 256 cells, four clients, beside a table of the same cells"
bench/tiles.sh

say "training, beside the published code in PyTorch"
# shellcheck disable=SC2086
"$python" bench/training.py ${CSP_BENCH:-}

say "training with features in memory and from a temporary file"
# shellcheck disable=SC2086
"$python" bench/streaming.py ${CSP_BENCH:-}

say "retrieval: the nearest of many embeddings"
# shellcheck disable=SC2086
"$python" bench/retrieval.py ${CSP_BENCH:-}

say "evaluation, beside csp_probabilities and Python"
# shellcheck disable=SC2086
"$python" bench/evaluation.py ${CSP_BENCH:-}

if [ "${CSP_BENCH:-}" != quick ]; then
    say "Top-1 without and with pre-training, one seed of the study (doc/quality.md)"
    cluster_stop
    bench/quality/run.sh quick main
fi
