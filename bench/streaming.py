"""Training with features in memory and from a temporary file, side by side (run.sh calls it, with a private cluster in the
environment). Each round trains both in turns; given are the rows a second of pre-training and their ratio: least, median, most.
Then what the order of an epoch's rows does to a model, from a table that lies in the order of longitude: Top-1 of a linear
classifier on the embeddings that pre-training brought.

    streaming.py [quick]     quick: an eighth of the rows, and the order left out
    streaming.py large       by hand: 5 million rows of 128 features (2.6 GB) in csp.training_memory = 512 MB, with the peak memory of the
                             worker, in both orders. Takes some 7 GB of disk
"""
import statistics
import sys
import time

import psycopg2

ROUNDS = 5
QUICK = "quick" in sys.argv[1:]
ROWS = 10_000 if QUICK else 80_000
OPTIONS = '{{"hidden_dim": 256, "embedding_dim": 128, "batch_size": 1024, "fine_tune_batch_size": 1024, "encoder_learning_rate": 0{more}}}'


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    execute(connection, "SET client_min_messages = warning")
    return connection


# Clusters of neighbouring rows, in the order of longitude, with features that tell the place, but for a few.
TABLE = """
    CREATE UNLOGGED TABLE cluster AS
    SELECT c, lon, lat, width_bucket(sin(lon / 9) * cos(lat / 11), -1, 1, 20)::text AS label,
           (SELECT array_agg((sin(lon * k / 300) + cos(lat * k / 200))::real) FROM generate_series(1, {width} - 8) k WHERE lon IS NOT NULL) AS features
    FROM (SELECT c, c * 0.009 - 180 AS lon, (c * 7919 % 16000) / 100.0 - 80 AS lat FROM generate_series(0, 39999) c) AS places;
    CREATE UNLOGGED TABLE {name} AS
    SELECT ST_SetSRID(ST_MakePoint(lon + random() / 200, lat + random() / 5), 4326) AS geom, label,
           features || ARRAY[random(), random(), random(), random(), random(), random(), random(), random()]::real[] AS features
    FROM cluster, generate_series(1, {rows} / 40000) ORDER BY c;
    DROP TABLE cluster"""


def train(connection, source, memory, epochs, more=""):
    """Figures of the run, from csp.runs and its last epoch of each stage."""
    execute(connection, f"SET csp.training_memory = '{memory}'")
    label = "'label'" if '"epochs"' in more else "NULL"
    options = OPTIONS.format(more=f', "pretrain_epochs": {epochs}{more}')
    started = time.perf_counter()
    (run,), = execute(connection, f"CALL csp_train('bench', '{source}', 'geom', 'features', {label}, '{options}')")
    wall = time.perf_counter() - started
    (streamed, estimate, peak, rows), = execute(
        connection, f"SELECT streamed_bytes, memory_estimate, memory_peak, rows_read FROM csp.runs WHERE id = {run}")
    (loss, seconds), = execute(
        connection, f"SELECT loss, seconds FROM csp.metrics WHERE run = {run} AND stage = 'pretraining' ORDER BY epoch DESC LIMIT 1")
    top1 = execute(connection, f"SELECT validation_top1 FROM csp.metrics WHERE run = {run} AND stage = 'supervised' ORDER BY epoch DESC LIMIT 1")
    return {"streamed": streamed, "estimate": estimate >> 20, "peak": peak >> 20, "loss": loss, "top1": top1 and top1[0][0],
            "speed": 0.9 * rows / seconds, "wall": wall}  # a tenth is held out


def spread(values, form="{:.2f}"):
    return ", ".join(form.format(v) for v in (min(values), statistics.median(values), max(values)))


def side_by_side(connection, storage):
    source, more = f"SELECT * FROM wide LIMIT {ROWS}", f', "feature_storage": "{storage}"'
    memory, file = [], []
    features = ROWS * 384 * (4 if storage == "float32" else 2) >> 20
    limit = train(connection, source, "4GB", 1, more)["estimate"] - features * 3 // 4
    for _ in range(ROUNDS):  # the first epoch also computes the position features
        memory.append(train(connection, source, "4GB", 2, more))
        file.append(train(connection, source, f"{limit}MB", 2, more))
    assert all(m["streamed"] == 0 for m in memory) and all(f["streamed"] > 0 for f in file), "not where they should be"
    assert len({r["loss"] for r in memory + file}) == 1, "the losses differ"
    print(f"  {storage}: in memory {spread([m['speed'] for m in memory], '{:.0f}')} rows/s, from file "
          f"{spread([f['speed'] for f in file], '{:.0f}')} rows/s")
    ratios = [f["speed"] / m["speed"] for m, f in zip(memory, file)]
    print(f"    from file / in memory: {spread(ratios)} (target: at least 0.8)")
    print(f"    peak memory {memory[0]['peak']} MB and {file[0]['peak']} MB, estimated {memory[0]['estimate']} MB and {file[0]['estimate']} MB")


def order(connection, source, memory, epochs, more=""):
    for shuffle in ("full", "windows"):
        run = train(connection, source, memory, epochs, f', "shuffle": "{shuffle}", "epochs": 10, "learning_rate": 0.01{more}')
        print(f"  {source}, shuffle {shuffle}: loss {run['loss']:.4f}, Top-1 {run['top1']:.4f}, {run['speed']:.0f} rows/s, {run['wall']:.0f} s in all, "
              f"{run['streamed'] / 1e6:.0f} MB streamed, peak memory {run['peak']} MB, estimated without LibTorch {run['estimate']} MB", flush=True)


def compare():
    connection = connect()
    execute(connection, TABLE.format(name="wide", rows=80_000, width=384))
    for storage in ("float32", "float16"):
        side_by_side(connection, storage)
    if not QUICK:  # features that are wide enough for several windows: four, with batches of 512
        execute(connection, "CREATE UNLOGGED TABLE padded AS SELECT geom, label, features || array_fill(0::real, ARRAY[3712]) AS features "
                            "FROM (SELECT *, row_number() OVER () AS n FROM wide) AS w WHERE n % 2 = 0 ORDER BY n")
        for seed in range(3):
            order(connection, "padded", "4GB", 4, f', "batch_size": 512, "seed": {seed}')


def large():
    connection = connect()
    started = time.perf_counter()
    execute(connection, TABLE.format(name="large", rows=5_000_000, width=128))
    size, = execute(connection, "SELECT pg_size_pretty(pg_table_size('large'))")[0]
    print(f"  the table: {size}, made in {time.perf_counter() - started:.0f} s", flush=True)
    order(connection, "large", "512MB", 1)


large() if "large" in sys.argv[1:] else compare()
