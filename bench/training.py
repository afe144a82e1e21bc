"""Training beside the published code in plain PyTorch (training_reference.py), from the table to the model, reading
included, in turns in one run; and beside what the machine could do at best. run.sh calls it, with a private cluster in
the environment.

The setting is that of the published measurements (doc/benchmarks.md): grid with F = 64, 256 -> 512 -> 256, image features
of 2,048 numbers, all three terms of MC; and the supervised loss with 8,142 classes.

    training.py [quick] [section ...]      quick: a quarter of the rows; sections: equal floor contrastive supervised
"""
import io
import json
import os
import subprocess
import sys
import time

import numpy as np
import torch

import training_reference as reference
from batch import QUICK, connect, execute, in_turns, misses, ratios, report, seconds_of, value_of
from outside_route import CHUNK, BinaryRows, Encoder, Stream

ROUNDS = 3
ROWS = 8_192 if QUICK else 32_768
IMAGE_DIM, CLASSES = 2048, 8142
OPTIONS = {"hidden_layers": 1, "hidden_dim": 512, "embedding_dim": 256, "frequencies": 64, "min_radius": 0.005, "max_radius": 360,
           "activation": "leakyrelu", "dropout": 0.5, "layer_norm": True, "validation_fraction": 0,
           "temperature_in_batch": 0.5, "temperature_negative": 0.5, "temperature_dropout": 0.5, "weight_dropout": 1,
           "pretrain_schedule": "constant", "pretrain_learning_rate": reference.LEARNING_RATE,
           "schedule": "constant", "learning_rate": reference.SUPERVISED_RATE, "encoder_learning_rate": 1, "loss": "full_loss"}

# Multiplications and additions of a row of a batch of B, in millions: forwards and twice that backwards, less what has no
# gradient (features of places and images) and what twins share with their rows (the first layer).
FIRST, SECOND, IMAGE = (2 * a * b / 1e6 for a, b in ((256, 512), (512, 256), (IMAGE_DIM, 256)))


def contrastive_megaflops(batch):
    return 2 * 2 * FIRST + 3 * 3 * SECOND + 2 * IMAGE + 2 * 3 * 2 * batch * 256 / 1e6


def supervised_megaflops():
    return 2 * (2 * FIRST + 3 * SECOND + 3 * 2 * 256 * CLASSES / 1e6)


# ---- rows ---------------------------------------------------------------------------------------------------------------


def make_table():
    """Features that tell something of the place, a class for each region, in a random order."""
    random = np.random.default_rng(1)
    lonlat = np.stack([random.uniform(-180, 180, ROWS), np.degrees(np.arcsin(random.uniform(-1, 1, ROWS)))], axis=1)
    waves = np.concatenate([np.sin(np.radians(lonlat) * k) for k in range(1, 9)], axis=1)
    mixing = random.normal(size=(waves.shape[1], IMAGE_DIM)) / 4
    packer = BinaryRows(IMAGE_DIM)

    def chunks():
        for begin in range(0, ROWS, CHUNK):
            features = np.tanh(waves[begin: begin + CHUNK] @ mixing) + random.normal(size=(min(CHUNK, ROWS - begin), IMAGE_DIM)) / 4
            yield packer.bytes_of(np.arange(begin, begin + len(features)), features)

    connection = connect(client_min_messages="warning")
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE images (id int, features real[]); ALTER TABLE images ALTER features SET STORAGE EXTERNAL")
        cursor.copy_expert("COPY images FROM STDIN WITH (FORMAT binary)", Stream(chunks()), size=1 << 20)
        cursor.execute("CREATE TABLE places (id int, lon float8, lat float8, label int)")
        lines = (f"{i}\t{lon!r}\t{lat!r}\t{i % CLASSES}\n" for i, (lon, lat) in enumerate(lonlat.tolist()))
        cursor.copy_expert("COPY places FROM STDIN", io.StringIO("".join(lines)))
        cursor.execute("""CREATE TABLE training_rows AS SELECT ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS geom, features, label
                          FROM places JOIN images USING (id) ORDER BY id""")
        cursor.execute("DROP TABLE images, places")
    execute(connection, "VACUUM ANALYZE training_rows")


# ---- both sides ---------------------------------------------------------------------------------------------------------


def run_reference(batch, epochs, kind, threads):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "bench/training_reference.py", "training_rows", str(batch), str(epochs), kind]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, text=True).stdout)


def call_train(connection, batch, epochs, kind, **options):
    contrastive = kind == "contrastive"
    settings = {**OPTIONS, "batch_size": batch, "fine_tune_batch_size": batch,
                "pretrain_epochs": epochs if contrastive else 0, "epochs": 0 if contrastive else epochs, **options}
    columns = "'features', NULL" if contrastive else "NULL, 'label'"
    seconds = seconds_of(connection, f"CALL csp_train('trained', 'training_rows', 'geom', {columns}, '{json.dumps(settings)}')")
    run = value_of(connection, "SELECT max(id) FROM csp.run")
    metrics = execute(connection, f"SELECT seconds, loss FROM csp.metrics WHERE run = {run} ORDER BY epoch")
    return {"all": seconds, "seconds": [s for s, _ in metrics], "losses": [loss for _, loss in metrics]}


# ---- what is measured ---------------------------------------------------------------------------------------------------


def equal(connection):
    """The losses of one batch of all rows under the same weights: csp_ext's, of a model that it did not move, and the
    reference's with the weights of that model. Random places differ, so their term agrees as their number allows."""
    print("\n-- the same rows and weights give the same loss")
    batch = 4096
    execute(connection, f"CREATE OR REPLACE VIEW some_rows AS SELECT * FROM training_rows LIMIT {batch}")
    settings = {**OPTIONS, "batch_size": batch, "pretrain_epochs": 1, "epochs": 0, "dropout": 0, "pretrain_learning_rate": 1e-9}
    execute(connection, f"CALL csp_train('still', 'some_rows', 'geom', 'features', NULL, '{json.dumps(settings)}')")
    run = value_of(connection, "SELECT max(id) FROM csp.run")
    ours = execute(connection, f"SELECT loss_in_batch, loss_negative, loss_dropout FROM csp.metrics WHERE run = {run}")[0]
    weights = Encoder(bytes(value_of(connection, "SELECT csp_export('still')"))).weights
    encoder = reference.Encoder(0)
    encoder.load_state_dict({"hidden.weight": weights["0.linear.weight"], "hidden.bias": weights["0.linear.bias"],
                             "norm.weight": weights["0.layernorm.weight"], "norm.bias": weights["0.layernorm.bias"],
                             "output.weight": weights["1.linear.weight"], "output.bias": weights["1.linear.bias"]})
    projection = torch.nn.Linear(IMAGE_DIM, reference.DIM)
    projection.load_state_dict({"weight": weights["img_dec.weight"], "bias": weights["img_dec.bias"]})
    lonlat, values = reference.read_rows("some_rows", "features")
    with torch.no_grad():
        theirs = reference.contrastive_terms(encoder, projection, lonlat, torch.from_numpy(reference.features_of(values)))
    for name, one, other, tolerance in zip(("in-batch", "negative", "dropout"), ours, theirs, (1e-5, 1e-2, 1e-5)):
        difference = abs(one - other.item()) / abs(other.item())
        report(f"{name} term: csp_ext {one:.6f}, reference {other.item():.6f}; they differ by", [difference], tolerance, at_least=False, form="{:.1e}")


def gigaflops(dtype, threads):
    torch.set_num_threads(threads)
    a, b = torch.randn(2048, 2048).to(dtype), torch.randn(2048, 2048).to(dtype)
    a @ b
    started = time.perf_counter()
    for _ in range(5):
        a @ b
    return 5 * 2 * 2048**3 / (time.perf_counter() - started) / 1e9


def floor(connection):
    """How fast the arithmetic alone could be: the work of a row over the speed of a large matrix product."""
    print("\n-- the floor: what a large matrix product of 2,048 x 2,048 x 2,048 says (all cores; OpenBLAS and oneDNN)")
    cores = os.cpu_count()
    speeds = {name: max(gigaflops(dtype, threads) for threads in (1, cores))
              for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))}
    for name, speed in speeds.items():
        rates = ", ".join(f"{speed * 1e3 / work:,.0f} {what}" for work, what in (
            (contrastive_megaflops(1024), "at batch 1,024"), (contrastive_megaflops(8192), "at batch 8,192"),
            (supervised_megaflops(), "supervised")))
        print(f"{name}: {speed:.0f} GFLOP/s, so at most {rates} rows a second")
    seconds = seconds_of(connection, "SELECT sum(features[2048]) FROM training_rows")
    print(f"reading the features of the table once: {ROWS * IMAGE_DIM * 4 / seconds / 1e9:.2f} GB/s, {ROWS / seconds:,.0f} rows a second")


def compare(connection, batch, epochs, kind, targets):
    print(f"\n-- {kind}, batch {batch:,}, {ROWS:,} rows, {epochs} epochs: rows a second from CALL or COPY to the trained model, and ratios")
    measured = {"reference, 1 thread": lambda: run_reference(batch, epochs, kind, 1),
                "reference, 2 threads": lambda: run_reference(batch, epochs, kind, 2),
                "csp_ext, 1 thread": lambda: call_train(connection, batch, epochs, kind, threads=1),
                "csp_ext, 2 threads": lambda: call_train(connection, batch, epochs, kind, threads=2),
                "csp_ext, 2 threads, bfloat16": lambda: call_train(connection, batch, epochs, kind, threads=2, precision="bfloat16")}
    got = in_turns(ROUNDS, **measured)
    rates = {}
    for name, results in got.items():
        whole = [r["all"] if "all" in r else r["reading"] + sum(r["seconds"]) for r in results]
        rates[name] = [epochs * ROWS / seconds for seconds in whole]
        report(name, rates[name], form="{:.0f}")
        print(f"{'':10}of which training {np.median([sum(r['seconds']) for r in results]):.1f} s of {np.median(whole):.1f} s; "
              f"loss of the last epoch {np.median([r['losses'][-1] for r in results]):.4f}")
    best = max(("reference, 1 thread", "reference, 2 threads"), key=lambda name: np.median(rates[name]))
    report(f"csp_ext in float32 / {best}", ratios(rates["csp_ext, 2 threads"], rates[best]), targets[0], at_least=True)
    report(f"csp_ext in bfloat16 / {best}", ratios(rates["csp_ext, 2 threads, bfloat16"], rates[best]), targets[1], at_least=True)
    last = {name: np.median([r["losses"][-1] for r in results]) for name, results in got.items()}
    for name, against in (("csp_ext, 2 threads", best), ("csp_ext, 2 threads, bfloat16", "csp_ext, 2 threads")):
        report(f"last loss of {name} / that of {against}, off by", [abs(last[name] / last[against] - 1)], 0.01, at_least=False, form="{:.4f}")


def contrastive(connection):
    compare(connection, 1024, 3, "contrastive", (2.5, 5))
    compare(connection, 8192, 2, "contrastive", (6, 12))


def supervised(connection):
    compare(connection, 1024, 1, "supervised", (4, 4))


def main():
    sections = {f.__name__: f for f in (equal, floor, contrastive, supervised)}
    wanted = [name for name in sys.argv[1:] if name != "quick"] or list(sections)
    started = time.time()
    make_table()
    connection = connect(client_min_messages="warning", max_parallel_workers_per_gather=0, **{"csp.training_memory": "4GB"})
    print(f"{'least, median, most':>95}")
    for name in wanted:
        sections[name](connection)
    print(f"\n{time.time() - started:.0f} s; " + ("targets missed: " + "; ".join(misses) if misses else "all targets met"))


if __name__ == "__main__":
    main()
