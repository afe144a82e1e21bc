#!/bin/bash
# Several workers for one training run, beside threads of one worker: rows a second of pre-training and of the supervised
# stage, in turns, as ratios to one worker of one thread. By hand: make install && bench/workers.sh
#
# Two workers are two processes with all of the run's rows each; on one machine they gain what threads do, less what
# they tell each other.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

rounds=${CSP_BENCH_ROUNDS:-3}
cluster_start "log_min_messages = warning" "max_wal_size = 4GB" "max_worker_processes = 16"
psql -Xq -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
SELECT setseed(0.5);
CREATE TABLE places AS
SELECT ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom, (lon / 36 + 5)::int * 10 + (lat / 18 + 5)::int AS label,
       ARRAY(SELECT (sin(lon / 40 + k) + cos(lat / 20 + k / 2.0) + random())::real FROM generate_series(1, 256) k) AS features
FROM (SELECT random() * 360 - 180 AS lon, random() * 180 - 90 AS lat FROM generate_series(1, 16384)) AS p;
SQL

# train WORKERS THREADS BATCH
train() {
    psql -XAtq -v ON_ERROR_STOP=1 >/dev/null <<SQL
SET client_min_messages = warning;
CALL csp_train('bench', 'places', 'geom', 'features', 'label', '{"frequencies": 64, "hidden_layers": 1, "hidden_dim": 512,
    "embedding_dim": 256, "batch_size": $3, "fine_tune_batch_size": $3, "pretrain_epochs": 2, "epochs": 2, "min_steps": 0,
    "device": "cpu", "workers": $1, "threads": $2}', run => NULL);
SQL
    psql -XAtq -F ' ' -v ON_ERROR_STOP=1 <<SQL
SELECT '$3 rows a batch, $1 x $2:', stage, round(14745 / min(seconds)::numeric)
FROM csp.metrics WHERE run = (SELECT max(id) FROM csp.run) GROUP BY stage;
SQL
}

say "workers x threads: rows a second ($(nproc) processors)"
for _ in $(seq "$rounds"); do
    for batch in 1024 4096; do
        for crew in "1 1" "1 2" "2 1"; do
            # shellcheck disable=SC2086
            train $crew "$batch"
        done
    done
done | awk '{
        print
        value = $NF
        NF--
        if (value > best[$0]) best[$0] = value
    }
    END {
        print "ratios of the best to 1 x 1:"
        for (key in best) {
            base = key
            sub(/[0-9]+ x [0-9]+:/, "1 x 1:", base)
            printf "%s %.2f\n", key, best[key] / best[base] | "sort"
        }
    }'
