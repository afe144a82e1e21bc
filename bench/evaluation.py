"""csp_evaluate beside csp_probabilities over the same rows, and beside what one would do without it: pull the probabilities to Python
and compute the figures with NumPy (run.sh calls it, with a private cluster in the environment). Each round runs them in turns, in one
process of the server; given are ratios of rows a second, by the clock and by the server's processor time: least, median, most.
Then the memory of csp_evaluate over 1 and over 10 million rows.

    evaluation.py [quick]     quick: a tenth of the rows, and the memory left out
"""
import os
import statistics
import sys
import time

import numpy as np
import psycopg2

ROUNDS = 5
QUICK = "quick" in sys.argv[1:]
ROWS = 40_000 if QUICK else 500_000
PULLED = 5_000 if QUICK else 100_000
TICKS = os.sysconf("SC_CLK_TCK")


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    execute(connection, "SET client_min_messages = warning; SET max_parallel_workers_per_gather = 0; SET jit = off; "
                        "SET synchronize_seqscans = off")  # the same first rows every time
    return connection


# Places all over the globe, each of a class by its number.
SOURCE = """SELECT ST_SetSRID(ST_MakePoint((i * 7919::bigint % 360000) / 1000.0 - 180, (i * 104729::bigint % 160000) / 1000.0 - 80), 4326) AS geom,
                   'class ' || i % {classes} AS label FROM generate_series(1, {rows}) AS i"""


def prepare(connection, model, classes):
    options = '{"pretrain_epochs": 0, "epochs": 1, "hidden_dim": 512, "embedding_dim": 256, "hidden_layers": 1, "validation_fraction": 0}'
    rows = max(2 * classes, 1000)
    execute(connection, f"CALL csp_train('{model}', $${SOURCE.format(classes=classes, rows=rows)}$$, label => 'label', options => '{options}')")


def processor_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def measured(connection, rows, call):
    """Rows a second by the clock and by the server's processor, and what the call gives."""
    pid = connection.info.backend_pid
    wall, processor = time.perf_counter(), processor_seconds(pid)
    result = call()
    return rows / (time.perf_counter() - wall), rows / max(processor_seconds(pid) - processor, 1 / TICKS), result


def evaluate(connection, model, source, bootstrap):
    rows = execute(connection, f"""SELECT metric, value FROM csp_evaluate('{model}', $${source}$$, label => 'label',
                                   options => '{{"bootstrap": {bootstrap}}}') WHERE scope = 'location' AND part IS NULL""")
    return dict(rows)


def pull(connection, model, source, labels):
    """The same figures in Python, in batches, with arrays as the driver gives them."""
    index = {label: i for i, label in enumerate(labels)}
    ranks, logs, confidences = [], [], []
    connection.autocommit = False
    with connection.cursor("pull") as cursor:
        cursor.itersize = 5000
        cursor.execute(f"SELECT csp_probabilities(geom, '{model}'), label FROM ({source}) AS s")
        while batch := cursor.fetchmany(5000):
            p = np.array([row[0] for row in batch], dtype=np.float32)
            truth = np.array([index[row[1]] for row in batch])
            own = p[np.arange(len(p)), truth][:, None]
            ahead = (p > own) | ((p == own) & (np.arange(p.shape[1]) < truth[:, None]))
            ranks.append(1 + ahead.sum(axis=1))
            logs.append(-np.log(np.maximum(own[:, 0] / p.sum(axis=1), 1e-12)))
            confidences.append(p.max(axis=1) / p.sum(axis=1))
    connection.rollback()
    connection.autocommit = True
    rank, confidence = np.concatenate(ranks), np.concatenate(confidences)
    bins = np.clip((confidence * 15).astype(int), 0, 14)
    gaps = [abs(((rank == 1) - confidence)[bins == b].sum()) for b in range(15)]
    return {"top1": (rank == 1).mean(), "top5": (rank <= 5).mean(), "mrr": (1 / rank).mean(), "log_loss": np.concatenate(logs).mean(),
            "ece": sum(gaps) / len(rank)}


def spread(values, form="{:.2f}"):
    return ", ".join(form.format(v) for v in (min(values), statistics.median(values), max(values)))


def compare(connection, classes, rows, pulled):
    model = f"classes_{classes}"
    prepare(connection, model, classes)
    labels = [row[0] for row in execute(connection, f"""SELECT label FROM csp.classes JOIN csp.models m ON m.name = model
                                                         AND m.version = classes.version AND deployed WHERE model = '{model}' ORDER BY class""")]
    execute(connection, f"CREATE UNLOGGED TABLE {model} AS {SOURCE.format(classes=classes, rows=rows)}")
    execute(connection, f"VACUUM ANALYZE {model}")
    some = f"SELECT * FROM {model} LIMIT {pulled}"
    query = f"SELECT count(csp_probabilities(geom, '{model}')) FROM {model}"
    execute(connection, query)
    wall, processor, against_python = [], [], []
    for _ in range(ROUNDS):
        of_query = measured(connection, rows, lambda: execute(connection, query))
        of_evaluation = measured(connection, rows, lambda: evaluate(connection, model, f"SELECT * FROM {model}", 200))
        in_server = measured(connection, pulled, lambda: evaluate(connection, model, some, 0))
        in_python = measured(connection, pulled, lambda: pull(connection, model, some, labels))
        for name, value in in_python[2].items():
            assert abs(value - in_server[2][name]) < 1e-4, (name, value, in_server[2][name])
        wall.append(of_evaluation[0] / of_query[0])
        processor.append(of_evaluation[1] / of_query[1])
        against_python.append(in_server[0] / in_python[0])
    print(f"  {classes} classes, {rows} rows: csp_evaluate at {spread(wall)} of the speed of csp_probabilities by the clock, "
          f"{spread(processor)} by the processor; {spread(against_python, '{:.1f}')} times as fast as through Python")


def memory(rows):
    connection = connect()
    source = SOURCE.format(classes=100, rows=rows)
    started = time.perf_counter()
    options = '{"block_size": 500, "block_shape": "hexagon", "folds": 5, "per_class": true}'
    ((read,),) = execute(connection, f"""SELECT value FROM csp_evaluate('classes_100', $${source}$$, label => 'label', options => '{options}')
                                         WHERE metric = 'rows_evaluated'""")
    assert read == rows
    print(f"  {rows / 1e6:.0f} million rows: {time.perf_counter() - started:.0f} s, peak memory {peak_memory(connection.info.backend_pid):.0f} MB")
    connection.close()


def main():
    print("Evaluation (least, median, most)")
    connection = connect()
    compare(connection, 100, ROWS, PULLED)
    compare(connection, 8142, ROWS // 20, PULLED // 50)
    connection.close()
    if not QUICK:
        memory(1_000_000)
        memory(10_000_000)


if __name__ == "__main__":
    main()
