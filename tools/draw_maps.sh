#!/bin/bash
# The pictures of doc/maps.md, from the sample data: trains in a private cluster, reads grids and csp.metrics, has tools/draw_maps.py
# draw them. Writes doc/images/map-*.png. Some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/common.sh
. tools/private_cluster.sh

tools/build_and_install.sh
tools/install_dependencies.sh python3-matplotlib
scratch=$(mktemp -d "${TMPDIR:-/tmp}/csp_maps.XXXXXX")
trap 'rm -rf "$scratch"; cluster_stop' EXIT

say "training"
cluster_start "log_min_messages = warning"
psql -Xq -v ON_ERROR_STOP=1 >/dev/null <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION csp_ext CASCADE;
\i data/load.sql
-- Images everywhere, labels in the train blocks.
CREATE VIEW train_labels AS SELECT geom, features, CASE WHEN split_block = 'train' THEN label END AS label FROM observations;
CALL csp_train('places', 'train_labels', 'geom', 'features', 'label');
CALL csp_train('labels only', 'SELECT geom, label FROM train_labels WHERE label IS NOT NULL', 'geom', label => 'label');
CALL csp_train('pretrained', 'observations', 'geom', 'features');
-- The network as it is drawn, before it has learned anything: one step of nothing.
CALL csp_train('untrained', 'observations', 'geom', 'features', options => '{"pretrain_epochs": 1, "pretrain_learning_rate": 1e-12}');
SQL

say "reading maps and metrics"
copy() {
    psql -Xq -v ON_ERROR_STOP=1 -c "COPY ($2) TO STDOUT (FORMAT csv, HEADER)" >"$scratch/$1.csv"
}
world="ST_MakeEnvelope(-180, -60, 180, 84, 4326)"
# Degrees with an observation within some 200 km: the model says nothing of the sea.
psql -Xq -v ON_ERROR_STOP=1 <<'SQL'
CREATE TABLE observed AS
SELECT i, j, ST_MakeEnvelope(i, j, i + 1, j + 1, 4326) AS geom FROM generate_series(-180, 179) i, generate_series(-60, 83) j
WHERE EXISTS (SELECT FROM observations o WHERE o.geom && ST_Expand(ST_SetSRID(ST_MakePoint(i + 0.5, j + 0.5), 4326), 1.8 / cosd(j + 0.5), 1.8));
SQL
copy observed "SELECT i, j FROM observed"
for label in Cf BWh Df; do
    copy "prior-$label" "SELECT i, j, probability FROM csp_prior_grid($world, 1, '$label', 'places')"
done
copy classes "SELECT i, j, label, probability FROM csp_class_grid($world, 1, 'places')"
# As csp_embedding_grid, but with the components of the observations: their places are spread evenly over the land.
embedding() {
    copy "$1" "SELECT i, j, c[1] AS red, c[2] AS green, c[3] AS blue FROM (
        SELECT i, j, csp.embedding_colour(csp_embed(ST_Centroid(geom), '$2'),
                                          (SELECT csp.principal_components(csp_embed(geom, '$2')) FROM observations)) AS c FROM observed) e"
}
embedding embedding-before untrained
embedding embedding-after pretrained
copy observations "SELECT ST_X(geom) AS lon, ST_Y(geom) AS lat, label FROM observations ORDER BY id"
copy metrics "SELECT r.model, m.stage, m.epoch, m.loss, m.validation_loss, m.validation_top1 FROM csp.metrics m JOIN csp.runs r ON r.id = m.run
    WHERE r.model IN ('places', 'labels only') ORDER BY r.id, m.stage, m.epoch"
psql -XAt -c "SELECT model || ': top-1 on the test blocks ' || round(avg((c.label = o.label)::int), 3)
    FROM unnest('{places,labels only}'::text[]) model, observations o, csp_classify(o.geom, 1, model) c WHERE o.split_block = 'test' GROUP BY model"

say "drawing"
# Debian's modules belong to Debian's Python, which need not be the first in the PATH.
python=python3
python3 -c 'import matplotlib' 2>/dev/null || python=/usr/bin/python3
"$python" tools/draw_maps.py "$scratch" doc/images
