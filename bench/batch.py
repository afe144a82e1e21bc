"""Batched execution: what it brings and what it costs, beside the alternatives, in one run (run.sh calls it, with a
private cluster in the environment and the sample data loaded).

Everything is measured in turns, five rounds or more, and given as ratios: least, median, most. The network is the
published grid one: F = 64, 256 -> 512 -> 256.

    batch.py [quick] [section ...]      quick: a tenth of the rows; sections: speed outside parallel limit planning memory cancel
"""
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import psycopg2

ROUNDS = 5
QUICK = "quick" in sys.argv[1:]
ROWS = 100_000 if QUICK else 1_000_000
PLACE = "ST_SetSRID(ST_MakePoint({0} % 360 - 180, {0} % 160 - 80), 4326)"
OPTIONS = """{"hidden_layers": 1, "hidden_dim": 512, "embedding_dim": 256, "frequencies": 64, "min_radius": 0.005, "max_radius": 360,
              "activation": "leakyrelu", "pretrain_epochs": 1, "epochs": 1}"""
misses = []


# ---- tools ------------------------------------------------------------------------------------------------------------


def connect(**settings):
    """A new session; csp.model is the model of this benchmark."""
    settings = {"csp.model": "batch", **settings}
    connection = psycopg2.connect(options=" ".join(f"-c {name}={value}" for name, value in settings.items()))
    connection.autocommit = True
    return connection


def execute(connection, sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else None


def value_of(connection, sql):
    return execute(connection, sql)[0][0]


def seconds_of(connection, sql):
    start = time.perf_counter()
    execute(connection, sql)
    return time.perf_counter() - start


def spread(values, form="{:.2f}"):
    return ", ".join(form.format(v) for v in (min(values), statistics.median(values), max(values)))


def report(what, values, target=None, at_least=None, form="{:.2f}"):
    """One line: least, median, most; the median is held against the target."""
    verdict = ""
    if target is not None:
        median = statistics.median(values)
        met = median >= target if at_least else median <= target
        verdict = f"target {'at least' if at_least else 'at most'} {target:g}: {'met' if met else 'MISSED'}"
        if not met:
            misses.append(what)
    print(f"{what:68} {spread(values, form):>26}   {verdict}", flush=True)


def in_turns(rounds, **measurements):
    """Runs the measurements one after the other, round by round, every second round backwards. name -> list of results."""
    results = {name: [] for name in measurements}
    for number in range(rounds):
        order = list(measurements)
        for name in reversed(order) if number % 2 else order:
            results[name].append(measurements[name]())
    return results


def ratios(a, b):
    return [x / y for x, y in zip(a, b)]


def is_batched(connection, sql):
    return any("CspBatch" in line for line, in execute(connection, f"EXPLAIN {sql}"))


# ---- what is measured ---------------------------------------------------------------------------------------------------


def prepare():
    connection = connect(client_min_messages="warning", max_parallel_workers_per_gather=0)
    execute(connection, f"CALL csp_train('batch', 'observations', 'geom', 'features', 'label', '{OPTIONS}')")
    execute(connection, "SELECT setseed(0.5)")
    execute(connection, f"""CREATE TABLE million AS
        SELECT id, ST_SetSRID(ST_MakePoint(random() * 360 - 180, degrees(asin(random() * 2 - 1))), 4326)::geometry(Point, 4326) AS geom
        FROM generate_series(1, {ROWS}) id""")
    execute(connection, f"CREATE TABLE fifth AS SELECT * FROM million WHERE id <= {ROWS // 5}")
    for table in ("million", "fifth"):
        execute(connection, f"VACUUM ANALYZE {table}")
    if not is_batched(connection, "SELECT count(csp_embed(geom)) FROM million"):
        print("NOTE: this csp_ext has no batched execution; what follows compares it with itself")
    return bytes(value_of(connection, "SELECT csp_export('batch')"))


def kernel_speed(model_file, processes=1):
    """Places a second of the kernel by itself, of several processes at once together."""
    command = ["build/batch_kernel", model_file, "0.5" if QUICK else "1"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(processes)]
    return sum(float(process.communicate()[0]) for process in running)


def libtorch_microseconds():
    """One location in one call: with LibTorch's features, and with csp_ext's."""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    text = subprocess.run(["build/torch_bench", "3"], check=True, stdout=subprocess.PIPE, env=environment, text=True).stdout
    throughout, network = (float(re.search(rf"^ +([\d.]+) .*{name}$", text, re.M).group(1))
                           for name in ("LibTorch throughout", "LibTorch, same features"))
    return throughout, network


def speed(model_file):
    print(f"\n-- speed: {ROWS:,} points, one process, no parallel workers; rows a second, and ratios")
    on = connect(max_parallel_workers_per_gather=0)
    off = connect(max_parallel_workers_per_gather=0, **{"csp.enable_batch": "off"})
    count = "SELECT count(csp_embed(geom)) FROM {}"
    for connection in (on, off):
        execute(connection, count.format("fifth"))

    def table_made():
        seconds = seconds_of(on, "CREATE TABLE made AS SELECT id, csp_embed(geom) AS e FROM million")
        execute(on, "DROP TABLE made")
        return ROWS / seconds

    got = in_turns(
        ROUNDS,
        kernel=lambda: kernel_speed(model_file),
        count=lambda: ROWS / seconds_of(on, count.format("million")),
        off=lambda: ROWS / 5 / seconds_of(off, count.format("fifth")),
        scan=lambda: ROWS / seconds_of(on, "SELECT count(ST_X(geom)) FROM million"),
        copy=lambda: ROWS / seconds_of(on, "COPY (SELECT csp_embed(geom) FROM million) TO '/dev/null' WITH (FORMAT binary)"),
        table=table_made,
        torch=libtorch_microseconds)
    rows = "{:,.0f}"
    report("the kernel alone, batches of 1,024 (build/batch_kernel)", got["kernel"], form=rows)
    report("SELECT count(csp_embed(geom))", got["count"], form=rows)
    report("the same with csp.enable_batch = off", got["off"], form=rows)
    report("SELECT count(ST_X(geom)), for comparison", got["scan"], form=rows)
    report("COPY (SELECT csp_embed(geom)) TO '/dev/null', binary", got["copy"], form=rows)
    report("CREATE TABLE AS SELECT id, csp_embed(geom)", got["table"], form=rows)
    throughout, network = zip(*got["torch"])
    report("one LibTorch call a row, nothing else", [1e6 / us for us in throughout], form=rows)
    report("count / the kernel alone", ratios(got["count"], got["kernel"]), 0.9, at_least=True)
    report("count / batching off", ratios(got["count"], got["off"]), 2.5, at_least=True)
    report("count / one LibTorch call a row", [r * us / 1e6 for r, us in zip(got["count"], throughout)], 6, at_least=True)
    report("count / one LibTorch call a row, its position features for nothing", [r * us / 1e6 for r, us in zip(got["count"], network)])
    report("COPY / the kernel alone", ratios(got["copy"], got["kernel"]))
    report("CREATE TABLE AS / the kernel alone", ratios(got["table"], got["kernel"]))


def outside(model_file):
    import outside_route

    print(f"\n-- the route outside: psycopg2, NumPy, PyTorch, COPY back; {ROWS:,} points to a filled table, seconds")
    with open(model_file, "rb") as file:
        encoder = outside_route.Encoder(file.read())
    # As the server is configured: parallel workers as its defaults have them. And with none.
    default, serial = connect(), connect(max_parallel_workers_per_gather=0)
    reading, writing = connect(), connect()
    reading.autocommit = writing.autocommit = False

    def route(source, target, threads):
        start = time.perf_counter()
        outside_route.embed_table(reading, writing, source, target, encoder, threads)
        return time.perf_counter() - start

    pilot = {}
    for threads in (1, 2):
        pilot[threads] = route("fifth", f"pilot{threads}", threads)
        execute(default, f"DROP TABLE pilot{threads}")
    threads = min(pilot, key=pilot.get)
    print(f"PyTorch threads: {threads} (a fifth of the rows takes {pilot[1]:.2f} s with one, {pilot[2]:.2f} s with two)")

    def own(connection, target):
        execute(connection, f"DROP TABLE IF EXISTS {target}")
        return seconds_of(connection, f"CREATE TABLE {target} AS SELECT id, csp_embed(geom) AS e FROM million")

    def theirs():
        execute(default, "DROP TABLE IF EXISTS outside")
        return route("million", "outside", threads)

    got = in_turns(ROUNDS, own=lambda: own(default, "inside"), serial=lambda: own(serial, "serial"), outside=theirs)
    difference = value_of(default, """
        SELECT max(abs(a - b)) FROM inside i JOIN outside o USING (id), unnest(i.e, o.e) x (a, b) WHERE id % 1000 = 7""")
    counted = value_of(default, "SELECT (SELECT count(e) FROM inside) = (SELECT count(e) FROM outside)")
    report("the route outside", got["outside"])
    report("CREATE TABLE AS SELECT id, csp_embed(geom), default settings", got["own"])
    report("the same without parallel workers", got["serial"])
    report("largest difference of a thousandth of the embeddings", [difference], 1e-5, at_least=False, form="{:.1e}")
    report("outside / CREATE TABLE AS", ratios(got["outside"], got["own"]), 3, at_least=True)
    report("outside / CREATE TABLE AS without parallel workers", ratios(got["outside"], got["serial"]))
    if not counted:
        misses.append("the route outside: number of rows")
    execute(default, "DROP TABLE inside, serial, outside")


def parallel(model_file):
    print(f"\n-- parallel: {ROWS:,} points, the leader only gathers; seconds")
    costs = {"parallel_leader_participation": "off", "parallel_setup_cost": 0, "parallel_tuple_cost": 0, "min_parallel_table_scan_size": 0}
    # To the planner one worker without its leader is no gain: it must be told.
    forced = "debug_parallel_query" if connect().server_version >= 160000 else "force_parallel_mode"
    sessions = {1: connect(max_parallel_workers_per_gather=1, **{forced: "on"}, **costs),
                2: connect(max_parallel_workers_per_gather=2, **costs)}
    for workers in sessions:
        plan = "\n".join(line for line, in execute(
            sessions[workers], "EXPLAIN (ANALYZE, COSTS OFF) SELECT count(csp_embed(geom)) FROM fifth"))
        if f"Workers Launched: {workers}" not in plan:
            raise SystemExit(f"no plan with {workers} workers:\n{plan}")
    query = "SELECT count(csp_embed(geom)) FROM million"
    got = in_turns(ROUNDS, one=lambda: seconds_of(sessions[1], query), two=lambda: seconds_of(sessions[2], query),
                   kernel=lambda: kernel_speed(model_file), kernels=lambda: kernel_speed(model_file, processes=2))
    report("one worker", got["one"])
    report("two workers", got["two"])
    gains, limits = ratios(got["one"], got["two"]), ratios(got["kernels"], got["kernel"])
    report(f"two workers, times as fast as one ({os.cpu_count()} processors)", gains, 1.8, at_least=True)
    report("two processes of the kernel alone, times as fast as one", limits)
    report("the gain of two workers / the gain of two kernels", ratios(gains, limits))


def pgbench(script, mode, enable):
    """Mean latency in microseconds."""
    environment = {**os.environ, "PGOPTIONS": f"-c csp.model=batch -c csp.enable_batch={enable} -c max_parallel_workers_per_gather=0"}
    text = subprocess.run(["pgbench", "-n", "-T", "1" if QUICK else "2", "-M", mode, "-f", script], check=True, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return 1000 * float(re.search(r"latency average = ([\d.]+) ms", text).group(1))


def limit(_):
    print("\n-- LIMIT 1: pgbench, one client, microseconds a query")
    for what, sql in (("SELECT csp_embed(geom) FROM million LIMIT 1", None),
                      ("one row by its key", "SELECT csp_embed(geom) FROM keyed WHERE id = 7")):
        if sql and value_of(connect(), "SELECT to_regclass('keyed') IS NULL"):
            execute(connect(), "CREATE TABLE keyed AS SELECT * FROM fifth LIMIT 10000; ALTER TABLE keyed ADD PRIMARY KEY (id); ANALYZE keyed")
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
            script.write((sql or what) + ";\n")
            script.flush()
            for mode in ("simple", "prepared"):
                got = in_turns(ROUNDS, on=lambda: pgbench(script.name, mode, "on"), off=lambda: pgbench(script.name, mode, "off"))
                report(f"{what}, {mode}: off", got["off"], form="{:.1f}")
                report(f"{what}, {mode}: on", got["on"], form="{:.1f}")
                report(f"{what}, {mode}: on / off", ratios(got["on"], got["off"]), 1.2, at_least=False)


def cpu_seconds(connection):
    """Processor time of the session's server process: other work on the machine counts less in it than on the clock."""
    with open(f"/proc/{connection.info.backend_pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


class Loop:
    """A statement that is planned anew and executed many times inside the server; called, it tells microseconds of
    processor time for one execution."""

    def __init__(self, connection, sql):
        self.connection, self.sql, self.times = connection, sql, 10
        self.times = max(10, int(20_000 / self()))  # some 20 ms a call

    def __call__(self):
        before = cpu_seconds(self.connection)
        execute(self.connection, f"DO $do$ BEGIN FOR i IN 1..{self.times} LOOP EXECUTE $sql${self.sql}$sql$; END LOOP; END $do$")
        return 1e6 * (cpu_seconds(self.connection) - before) / self.times


def planning(_):
    print("\n-- planning: statements that are planned each time and read at most one row; microseconds of processor time a statement")
    session = connect()
    execute(session, """CREATE TABLE small AS SELECT * FROM fifth LIMIT 1000; ALTER TABLE small ADD PRIMARY KEY (id); ANALYZE small;
        CREATE TABLE parts (id int, geom geometry) PARTITION BY RANGE (id)""")
    for n in range(1, 51):
        execute(session, f"CREATE TABLE part{n} PARTITION OF parts FOR VALUES FROM ({n}) TO ({n + 1})")

    plain = {"a query by key": "SELECT id FROM small WHERE id = 7",
             "a join of five tables": "SELECT a.id FROM small a JOIN small b USING (id) JOIN small c USING (id) JOIN small d USING (id) "
                                      "JOIN small e USING (id) WHERE a.id < 0 ORDER BY b.geom LIMIT 3"}
    pairs, rounds = (3, 11) if QUICK else (9, 31)
    for what, sql in plain.items():
        least = []
        for _ in range(pairs):  # new sessions each time: where their memory lies makes a difference of its own
            loaded, unloaded, control = connect(), connect(), connect()
            execute(loaded, "SELECT csp_embed(geom) FROM small LIMIT 1")
            got = in_turns(rounds, loaded=Loop(loaded, sql), unloaded=Loop(unloaded, sql), control=Loop(control, sql))
            least.append([min(values) for values in got.values()])
            if value_of(unloaded, "SELECT count(*) FROM pg_settings WHERE name = 'csp.batch_size'"):
                raise SystemExit("the session that should not have loaded csp_ext has")
        report(f"{what}, without csp functions: csp_ext not loaded", [b for _, b, _ in least])
        report(f"{what}: not loaded, two sessions, one / the other", [c / b for _, b, c in least], form="{:.3f}")
        report(f"{what}: loaded / not loaded", [a / b for a, b, _ in least], 1.01, at_least=False, form="{:.3f}")

    calls = {"one call": "SELECT csp_embed(geom) FROM small LIMIT 0",
             "a filter and ten calls": "SELECT " + ", ".join(f"(csp_embed(geom))[{i}]" for i in range(1, 11)) +
                                       " FROM small WHERE csp_probability(geom, 'Cs') > 0.5 LIMIT 0",
             "a join, calls on both sides": "SELECT csp_embed(a.geom) FROM small a JOIN small b USING (id) "
                                            "WHERE (csp_embed(b.geom))[1] > 0 ORDER BY csp_embed(a.geom) LIMIT 0",
             "csp_classify": "SELECT c.* FROM small, csp_classify(geom, 1) c LIMIT 0",
             "50 partitions": "SELECT csp_embed(geom) FROM parts LIMIT 0"}
    on, off = connect(), connect(**{"csp.enable_batch": "off"})
    for what, sql in calls.items():
        got = in_turns(rounds, on=Loop(on, sql), off=Loop(off, sql))
        report(f"{what}: batching off", got["off"])
        report(f"{what}: more with batching", [a - b for a, b in zip(got["on"], got["off"])], 200, at_least=False)


def peak_memory(rows):
    """Most resident memory that a new session has had after embedding so many rows that come one by one, in MB."""
    # The memory of a just-in-time compiler would be no smaller without csp_ext.
    connection = connect(max_parallel_workers_per_gather=0, jit="off")
    execute(connection, f"SELECT count(csp_embed({PLACE.format('n')})) FROM (SELECT generate_series(1, {rows}) AS n OFFSET 0) x")
    status = value_of(connection, "SELECT pg_read_file(format('/proc/%s/status', pg_backend_pid()))")
    connection.close()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) / 1024


def memory(_):
    few, many = ROWS, 10 * ROWS
    print(f"\n-- memory: peak resident memory of a session, {few:,} rows and {many:,}, MB")
    a = [peak_memory(few) for _ in range(3)]
    b = [peak_memory(many)]
    report(f"{few:,} rows", a, form="{:.1f}")
    report(f"{many:,} rows", b, form="{:.1f}")
    report("more for ten times the rows", [b[0] - statistics.median(a)], 2, at_least=False, form="{:.1f}")


def cancel(_):
    print("\n-- cancelling: from the request to the error, milliseconds")
    latencies = []
    connection = connect(max_parallel_workers_per_gather=0)
    query = f"SELECT count(csp_embed({PLACE.format('n')})) FROM (SELECT generate_series(1, 2000000000) AS n OFFSET 0) x"
    for number in range(5 if QUICK else 20):
        requested = []

        def request():
            requested.append(time.perf_counter())
            connection.cancel()

        timer = threading.Timer(0.3 + 0.013 * number, request)
        timer.start()
        try:
            execute(connection, query)
        except psycopg2.errors.QueryCanceled:
            latencies.append(1000 * (time.perf_counter() - requested[0]))
        timer.join()
    report("cancelling a query that computes batches", latencies)
    report("the longest of them", [max(latencies)], 100, at_least=False)


def main():
    sections = {f.__name__: f for f in (speed, outside, parallel, limit, planning, memory, cancel)}
    wanted = [name for name in sys.argv[1:] if name != "quick"] or list(sections)
    started = time.time()
    print(f"{'least, median, most':>95}")
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
        file.write(prepare())
        file.flush()
        for name in wanted:
            sections[name](file.name)
    print(f"\n{time.time() - started:.0f} s; " + ("targets missed: " + "; ".join(misses) if misses else "all targets met"))


if __name__ == "__main__":
    main()
