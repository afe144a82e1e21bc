"""A million cells of a prior, in one process (run.sh calls it, with a private cluster in the environment and the sample data loaded):
csp_prior_grid beside the query that one would write by hand with PostGIS's grid, and beside csp_probability alone for points that are
stored. Run in turns; given are seconds, and each other's time over that of csp_prior_grid: least, median, most. Then the memory of the
session for grids of a tenth of the size and of the whole.

    grids.py [quick]     quick: a tenth of the cells
"""
import statistics
import sys
import time

import psycopg2

ROUNDS = 5
EDGE = 316 if "quick" in sys.argv[1:] else 1000
AREA = f"ST_MakeEnvelope(-50, -50, 50, 50, 4326)"
SIZE = 100 / EDGE


def connect():
    connection = psycopg2.connect(options="-c csp.model=grids -c max_parallel_workers_per_gather=0 -c client_min_messages=warning")
    connection.autocommit = True
    return connection


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def seconds(connection, sql):
    started = time.perf_counter()
    execute(connection, sql)
    return time.perf_counter() - started


def memory(edge):
    connection = connect()
    execute(connection, f"SELECT count(geom), sum(probability) FROM csp_prior_grid({AREA}, {100 / edge}, 'Af')")
    peak = execute(connection, "SELECT pg_read_file('/proc/self/status')")[0][0]
    connection.close()
    return int(next(line for line in peak.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


connection = connect()
if not execute(connection, "SELECT FROM csp.models WHERE name = 'grids'"):
    execute(connection, "CALL csp_train('grids', 'observations', 'geom', 'features', 'label', '{\"pretrain_epochs\": 1, \"epochs\": 1}')")
execute(connection, f"CREATE UNLOGGED TABLE grid_place AS SELECT location FROM csp.grid({AREA}, {SIZE}, 'square'); ANALYZE grid_place")
ways = {
    "csp_prior_grid": f"SELECT count(geom), sum(probability) FROM csp_prior_grid({AREA}, {SIZE}, 'Af')",
    "ST_SquareGrid, csp_probability of centroids": f"""
        SELECT count(geom), sum(csp_probability(ST_Centroid(geom), 'Af')) FROM ST_SquareGrid({SIZE}, {AREA})
        WHERE ST_Relate(geom, {AREA}, 'T********')""",
    "csp_probability of stored points": "SELECT count(location), sum(csp_probability(location, 'Af')) FROM grid_place",
    "the cells without their probability": f"SELECT count(geom), sum(ST_X(location)) FROM csp.grid({AREA}, {SIZE}, 'square')",
}
times = {name: [] for name in ways}
for number in range(ROUNDS + 1):  # the first one warms up
    for name in reversed(ways) if number % 2 else ways:
        taken = seconds(connection, ways[name])
        if number > 0:
            times[name].append(taken)

print(f"{EDGE * EDGE} cells, one process")
for name, taken in times.items():
    ratios = sorted(other / own for own, other in zip(times["csp_prior_grid"], taken))
    print(f"{name:45} {statistics.median(taken):7.2f} s   x {ratios[0]:.2f}, {statistics.median(ratios):.2f}, {ratios[-1]:.2f}")
print(f"peak memory of a session, MB: {memory(EDGE // 3):.0f} for {(EDGE // 3) ** 2} cells, {memory(EDGE):.0f} for {EDGE * EDGE}")
