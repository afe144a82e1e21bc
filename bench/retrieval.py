"""The ten nearest of many stored embeddings to one, by their cosine (run.sh calls it, with a private cluster in the environment).
csp_cosine in SQL beside what one would do without it: the formula written in SQL, NumPy after a binary COPY of all embeddings, and
pgvector's exact search where it is installed. Each round runs all in turns; given are milliseconds and the time of csp_cosine over each
other's, inverted: least, median, most. The ten that are found must be the same.

    retrieval.py [quick]     quick: a tenth of the rows
"""
import io
import statistics
import sys
import time

import numpy as np
import psycopg2

ROUNDS = 5
ROWS = 30_000 if "quick" in sys.argv[1:] else 300_000
DIM = 128


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [row[0] for row in cursor.fetchall()] if cursor.description else None


def binary_route(connection, query):
    buffer = io.BytesIO()
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY (SELECT id, embedding FROM gallery) TO STDOUT (FORMAT binary)", buffer)
    # A row: number of fields, length and value of the id, length and header of the array, then each element with its length.
    row = np.dtype([("fields", ">i2"), ("id_size", ">i4"), ("id", ">i4"), ("size", ">i4"), ("header", ">i4", 5),
                    ("elements", [("size", ">i4"), ("value", ">f4")], DIM)])
    rows = np.frombuffer(buffer.getbuffer(), row, ROWS, 19)
    embeddings = rows["elements"]["value"].astype(np.float32)
    cosines = embeddings @ query / np.linalg.norm(embeddings, axis=1)
    nearest = np.argpartition(-cosines, 10)[:10]
    return [int(i) for i in rows["id"][nearest[np.argsort(-cosines[nearest])]]]


connection = psycopg2.connect("")
connection.autocommit = True
execute(connection, f"""
    SET client_min_messages = warning; SET max_parallel_workers_per_gather = 0; SET jit = off;
    CREATE UNLOGGED TABLE gallery AS
    SELECT id::int, ARRAY(SELECT (random() - 0.5)::real FROM generate_series(1, {DIM}) k WHERE id IS NOT NULL) AS embedding
    FROM generate_series(1, {ROWS}) id;
    ANALYZE gallery""")
query = np.array(execute(connection, "SELECT embedding FROM gallery WHERE id = 7")[0], np.float32)
literal = "'{" + ",".join(repr(float(v)) for v in query) + "}'::real[]"
ways = {
    "csp_cosine": lambda: execute(connection, f"SELECT id FROM gallery ORDER BY csp_cosine(embedding, {literal}) DESC LIMIT 10"),
    "formula in SQL": lambda: execute(connection, f"""
        SELECT id FROM gallery ORDER BY
            (SELECT sum(a * b) / sqrt(sum(a * a)) FROM unnest(embedding, {literal}) u (a, b)) DESC LIMIT 10"""),
    "binary COPY, NumPy": lambda: binary_route(connection, query),
}
if execute(connection, "SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'") == [1]:
    execute(connection, f"""CREATE EXTENSION IF NOT EXISTS vector;
        CREATE UNLOGGED TABLE vectors AS SELECT id, embedding::vector({DIM}) AS embedding FROM gallery""")
    ways["pgvector, exact"] = lambda: execute(
        connection, f"SELECT id FROM vectors ORDER BY embedding <=> {literal}::vector LIMIT 10")

times = {name: [] for name in ways}
for round in range(ROUNDS + 1):  # the first one warms up
    found = {}
    for name, way in ways.items():
        started = time.perf_counter()
        found[name] = way()
        if round > 0:
            times[name].append(1000 * (time.perf_counter() - started))
    if any(ids != found["csp_cosine"] for ids in found.values()):
        raise SystemExit(f"not the same ten: {found}")

print(f"{ROWS} embeddings of {DIM}, the ten nearest to one")
for name, taken in times.items():
    ratios = sorted(other / own for own, other in zip(times["csp_cosine"], taken))
    print(f"{name:20} {statistics.median(taken):8.0f} ms   x {ratios[0]:.2f}, {statistics.median(ratios):.2f}, {ratios[-1]:.2f}")
execute(connection, "DROP TABLE gallery; DROP TABLE IF EXISTS vectors")
