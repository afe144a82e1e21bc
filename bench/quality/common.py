"""What the parts of the study share: the cells, the sample data, and the table of results."""
import ast
import csv
import os

import numpy as np
import psycopg2

HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.environ.get("CSP_QUALITY_RESULTS", os.path.join(HERE, "results.csv"))
COLUMNS = ["split", "rows", "method", "inputs", "share", "seed", "val_top1", "test_top1", "seconds", "settings"]
KEY = COLUMNS[:6]
SHARES = (0.05, 0.1, 0.2, 1.0)
SEEDS = (1, 2, 3, 4, 5)
SPLITS = ("block", "random")


def connect():
    connection = psycopg2.connect("")
    connection.autocommit = True
    return connection


def query(connection, sql, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(sql, arguments)
        return cursor.fetchall() if cursor.description else None


class Results:
    """results.csv. A cell that it has is not computed again, so that an interrupted study goes on."""

    def __init__(self):
        self.rows = []
        if os.path.exists(RESULTS):
            with open(RESULTS, newline="") as file:
                self.rows = list(csv.DictReader(file))
        self.known = {tuple(row[name] for name in KEY) for row in self.rows}

    def has(self, *key):
        return tuple(str(value) for value in key) in self.known

    def settings(self, *key):
        """Of a cell that is known; otherwise None."""
        for row in self.rows:
            if tuple(row[name] for name in KEY) == tuple(str(value) for value in key):
                return ast.literal_eval(row["settings"])
        return None

    def add(self, *values):
        row = dict(zip(COLUMNS, (f"{value:.4f}" if name.endswith("top1") else str(value) for name, value in zip(COLUMNS, values))))
        new = not os.path.exists(RESULTS)
        with open(RESULTS, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerow(row)
        self.rows.append(row)
        self.known.add(tuple(row[name] for name in KEY))
        print(f"{values[0]:7}{values[1]:7}{values[2]:28}{values[3]:12}{values[4]:>5} seed {values[5]}: {values[7]:.3f}", flush=True)


class Places:
    """The sample data as arrays, by the order of their ids; classes are numbered in the order of csp.classes."""

    def __init__(self, connection):
        rows = query(connection, """SELECT id, ST_X(geom), ST_Y(geom), features, label, split_block, split_random
                                    FROM observations ORDER BY id""")
        self.ids = [row[0] for row in rows]
        self.lonlat = np.array([row[1:3] for row in rows])
        self.features = np.array([row[3] for row in rows], np.float32)
        self.labels = sorted({row[4] for row in rows})
        self.classes = np.array([self.labels.index(row[4]) for row in rows])
        self.part = {"block": np.array([row[5] for row in rows]), "random": np.array([row[6] for row in rows])}
        lon, lat = np.radians(self.lonlat).T
        self.coordinates = np.column_stack([self.lonlat, np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])

    def labelled(self, connection, split, share, seed):
        drawn = query(connection, "SELECT id FROM quality.draws WHERE (split, share, seed) = (%s, %s, %s)", split, share, seed)
        return np.isin(self.ids, [row[0] for row in drawn])

    def top1(self, probabilities, split, part):
        """Share of the rows of a part whose most probable class is the true one."""
        rows = self.part[split] == part
        return float((probabilities[rows].argmax(1) == self.classes[rows]).mean())

    def fuse(self, image, place, split):
        """An image classifier and a prior by the product rule, as csp_fuse does it. The image classifier's probabilities are
        raised to the power that the validation rows like best: what calibrates it as against the prior. Returns the product
        and the power."""
        powers = (0.25, 0.5, 0.75, 1.0)
        best = max(powers, key=lambda power: self.top1(image**power * place, split, "val"))
        return image**best * place, best
