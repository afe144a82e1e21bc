#!/usr/bin/env python3
"""Position encodings of csp_ext beside vectorised NumPy of the same formulas, one thread each, in turns.

Checks first that the features of 500 places agree to 1e-5, then prints locations a second of both, with the ratio of
each round: least, median, most. Needs build/encoding_bench (make bench-programs) and python3-numpy.

Usage: bench/encodings.py [NAME[:FREQUENCIES] ...]
"""
import math
import os
import re
import statistics
import subprocess
import sys
import time

# One thread; and memory that was freed is used again at once. By default glibc gives NumPy's arrays of a megabyte back
# to the system after each use, which makes NumPy several times slower. glibc reads this when a process begins.
SETTINGS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
            "MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "2000000000",
            "MALLOC_TOP_PAD_": "268435456"}
if any(os.environ.get(name) != value for name, value in SETTINGS.items()):
    os.environ.update(SETTINGS)
    os.execv(sys.executable, [sys.executable, *sys.argv])

import numpy as np

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "encoding_bench")
BATCH = 1024
PLACES = 500
ROUNDS = 5
SECONDS = 0.1
TOLERANCE = 1e-5

GOLDEN_STEP = 0.6180339887498949
LON_STEP = 0.7548776662466927
LAT_STEP = 0.5698402909980532


def even(count, step, first=0):
    """As csp_bench::even: numbers that fill [0, 1) evenly."""
    x = (np.arange(first, first + count) + 0.5) * step
    return x - np.floor(x)


def scattered(count):
    """As csp_bench::scattered: numbers in [0, 1) that look random."""
    x = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((x ^ (x >> np.uint64(31))) >> np.uint64(11)).astype(float) * 2.0**-53


def places(count, first=0):
    return np.stack([360 * even(count, LON_STEP, first) - 180, 180 * even(count, LAT_STEP, first) - 90], axis=1)


# ---- the encodings: functions of longitude and latitude in degrees, float64 of float32 values -----------------


def frequencies_of(c):
    if c["frequency_list"] == "nerf":
        return math.pi * 2.0 ** np.arange(c["frequencies"])
    k = np.arange(c["frequencies"]) / (c["frequencies"] - 1)
    return 1 / (c["min_radius"] * (c["max_radius"] / c["min_radius"]) ** k)


def grid(c, unit=1.0):
    w = frequencies_of(c)

    def encode(lon, lat):
        angles = (np.stack([lon, lat], axis=1) * unit)[:, :, None] * w
        return np.stack([np.sin(angles), np.cos(angles)], axis=3).reshape(len(lon), -1)

    return encode


def theory(c, unit=1.0):
    w = frequencies_of(c)
    directions = np.array([[1, 0], [-0.5, math.sqrt(3) / 2], [-0.5, -math.sqrt(3) / 2]]).T * unit

    def encode(lon, lat):
        along = np.stack([lon, lat], axis=1) @ directions
        angles = w[:, None] * along[:, None, :]
        return np.stack([np.sin(angles), np.cos(angles)], axis=3).reshape(len(lon), -1)

    return encode


def hexagridcell(c):
    w = frequencies_of(c)
    phases = 2 * math.pi / 3 * np.arange(3)

    def encode(lon, lat):
        angles = np.stack([lon, lat], axis=1)[:, :, None] * w
        return np.sin(angles[:, :, :, None] + phases).reshape(len(lon), -1)

    return encode


def sphere(c, kind):
    w = frequencies_of(c)

    def encode(lon, lat):
        l, p = np.radians(lon)[:, None], np.radians(lat)[:, None]
        sl, cl, sp, cp = np.sin(l * w), np.cos(l * w), np.sin(p * w), np.cos(p * w)
        if kind == "C":
            parts = [sp, cp * cl, cp * sl]
        elif kind == "C+":
            parts = [sp, cp, sl, cl, cp * cl, cp * sl]
        else:
            mixed = [cp * np.cos(l), np.cos(p) * cl, cp * np.sin(l), np.cos(p) * sl]
            parts = ([sp] if kind == "M" else [sp, cp, sl, cl]) + mixed
        return np.stack(parts, axis=2).reshape(len(lon), -1)

    return encode


def dfs(c):
    w = frequencies_of(c)

    def encode(lon, lat):
        l, p = np.radians(lon)[:, None] * w, np.radians(lat)[:, None] * w
        sl, cl, sp, cp = np.sin(l), np.cos(l), np.sin(p), np.cos(p)
        products = np.concatenate([sl, cl], axis=1)[:, :, None] * np.concatenate([sp, cp], axis=1)[:, None, :]
        waves = np.stack([sp, cp, sl, cl], axis=2)
        return np.concatenate([products.reshape(len(lon), -1), waves.reshape(len(lon), -1)], axis=1)

    return encode


def xyz(c):
    def encode(lon, lat):
        l, p = np.radians(lon), np.radians(lat)
        return np.stack([np.cos(p) * np.cos(l), np.cos(p) * np.sin(l), np.sin(p)], axis=1)

    return encode


def nerf(c):
    w = frequencies_of(c)
    point = xyz(c)

    def encode(lon, lat):
        angles = point(lon, lat)[:, :, None] * w
        return np.stack([np.sin(angles), np.cos(angles)], axis=1).reshape(len(lon), -1)

    return encode


def scaled(c, lon, lat):
    west, east, south, north = c["map_range"]
    return (lon - west) / (east - west) * 2 - 1, (lat - south) / (north - south) * 2 - 1


def naive(c):
    return lambda lon, lat: np.stack(scaled(c, lon, lat), axis=1)


def wrap(c):
    def encode(lon, lat):
        x, y = math.pi * lon / 180, math.pi * lat / 90
        return np.stack([np.sin(x), np.sin(y), np.cos(x), np.cos(y)], axis=1)

    return encode


def rbf(c):
    anchors = places(c["anchors"], 1000).astype(np.float32).astype(float)
    factor = -0.5 / c["kernel_size"] ** 2

    def encode(lon, lat):
        squares = (lon[:, None] - anchors[:, 0]) ** 2 + (lat[:, None] - anchors[:, 1]) ** 2
        return np.exp(squares * factor)

    return encode


def rff(c):
    count = c["frequencies"]

    def about_normal(u):
        return (u**0.135 - (1 - u) ** 0.135) / 0.1975

    directions = math.sqrt(c["kernel_size"]) * about_normal(
        np.stack([even(count, LON_STEP), even(count, LAT_STEP)]))
    directions = directions.astype(np.float32).astype(float)
    shifts = (2 * math.pi * even(count, GOLDEN_STEP)).astype(np.float32).astype(float)

    def encode(lon, lat):
        return math.sqrt(2 / count) * np.cos(np.stack(scaled(c, lon, lat), axis=1) @ directions + shifts)

    return encode


def tile(c):
    west, east, south, north = c["map_range"]
    size = c["min_radius"]
    columns, rows = math.ceil((east - west) / size), math.ceil((north - south) / size)
    width = c["embedding_dim"]
    table = (2 * scattered(columns * rows * width) - 1).astype(np.float32).reshape(-1, width)

    def encode(lon, lat):
        column = np.clip(np.floor((lon - west) / size), 0, columns - 1).astype(int)
        row = np.clip(np.floor((lat - south) / size), 0, rows - 1).astype(int)
        return table[row * columns + column]

    return encode


def spherical_harmonics(c):
    degrees = c["degrees"]

    def encode(lon, lat):
        phi, theta = np.radians(lon) + math.pi, np.radians(lat) + math.pi / 2
        x, y = np.cos(theta), np.sin(theta)
        out = np.empty((len(lon), degrees * degrees))
        sectoral = np.full(len(lon), math.sqrt(1 / (4 * math.pi)))
        for m in range(degrees):
            if m > 0:
                sectoral = -math.sqrt((2 * m + 1) / (2 * m)) * y * sectoral
            cosine = math.sqrt(2) * np.cos(m * phi) if m > 0 else 1
            sine = math.sqrt(2) * np.sin(m * phi)
            before, now = 0, sectoral
            for l in range(m, degrees):
                if l > m:
                    square = l * l - m * m
                    up = math.sqrt((4 * l * l - 1) / square)
                    down = math.sqrt((2 * l + 1) * ((l - 1) ** 2 - m * m) / ((2 * l - 3) * square))
                    before, now = now, up * x * now - down * before
                out[:, l * l + l + m] = now * cosine
                if m > 0:
                    out[:, l * l + l - m] = now * sine
        return out

    return encode


ENCODINGS = {
    "grid": grid,
    "gridcellnorm": lambda c: grid(c, math.pi / 180),
    "theory": theory,
    "theorynorm": lambda c: theory(c, math.pi / 180),
    "theorydiag": theory,
    "hexagridcell": hexagridcell,
    "sphereC": lambda c: sphere(c, "C"),
    "sphereC+": lambda c: sphere(c, "C+"),
    "sphereM": lambda c: sphere(c, "M"),
    "sphereM+": lambda c: sphere(c, "M+"),
    "dfs": dfs,
    "xyz": xyz,
    "NeRF": nerf,
    "naive": naive,
    "wrap": wrap,
    "wrap_ffn": wrap,
    "rbf": rbf,
    "rff": rff,
    "tile": tile,
    "spherical_harmonics": spherical_harmonics,
}


# ---- measuring ------------------------------------------------------------------------------------------------


def program(name, frequencies, *mode):
    return subprocess.run([PROGRAM, name, str(frequencies), *mode], check=True, stdout=subprocess.PIPE).stdout


def config_of(name, frequencies):
    config = dict(line.split(" ", 1) for line in program(name, frequencies, "config").decode().splitlines())
    for key in ("frequencies", "anchors", "degrees", "embedding_dim"):
        config[key] = int(config[key])
    for key in ("min_radius", "max_radius", "kernel_size"):
        config[key] = float(config[key])
    config["map_range"] = [float(x) for x in config["map_range"].split(",")]
    return config


def features_of(encode, lonlat):
    """Coordinates rounded to float32, as csp_ext does; float64 within; float32 out."""
    rounded = lonlat.astype(np.float32).astype(float)
    return encode(rounded[:, 0], rounded[:, 1]).astype(np.float32)


def numpy_speed(encode):
    lonlat = places(BATCH)
    batches, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        features_of(encode, lonlat)
        batches += 1
    return batches * BATCH / (time.perf_counter() - start)


def program_speed(name, frequencies):
    return float(re.search(rb"median (\d+)", program(name, frequencies)).group(1))


def measure(name, frequencies):
    encode = ENCODINGS[name](config_of(name, frequencies))
    expected = features_of(encode, places(PLACES))
    got = np.frombuffer(program(name, frequencies, "dump"), dtype=np.float32)
    if got.size != expected.size:
        sys.exit(f"{name}: {got.size / PLACES:g} features, NumPy has {expected.shape[1]}")
    difference = float(np.abs(got.reshape(expected.shape) - expected).max())
    if not difference <= TOLERANCE:
        sys.exit(f"{name}: features differ by {difference:.3g}")
    features_of(encode, places(BATCH))
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(program_speed(name, frequencies))
        theirs.append(numpy_speed(encode))
    ratios = [a / b for a, b in zip(ours, theirs)]
    print(f"{name:20} {expected.shape[1]:8} {difference:11.1e} {statistics.median(ours):14,.0f} "
          f"{statistics.median(theirs):14,.0f}   {min(ratios):6.1f} {statistics.median(ratios):6.1f} {max(ratios):6.1f}",
          flush=True)


def main():
    wanted = sys.argv[1:] or ["grid:64", *ENCODINGS]
    print(f"{'encoding':20} {'features':>8} {'difference':>11} {'csp_ext loc/s':>14} {'NumPy loc/s':>14}   "
          f"ratio: least, median, most")
    for one in wanted:
        name, _, frequencies = one.partition(":")
        measure(name, int(frequencies or 0))


if __name__ == "__main__":
    main()
