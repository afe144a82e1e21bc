#!/usr/bin/env python3
"""The tables of doc/quality.md from results.csv, in Markdown (the number of seeds in brackets where it is not five), and with
matplotlib the figure doc/images/quality.svg.

    report.py [quick]       quick: tables only
"""
import os
import sys
from collections import defaultdict

import numpy as np

from common import HERE, SHARES, Results

FIGURE = os.path.join(HERE, "..", "..", "doc", "images", "quality.svg")
BASELINES = ("k-NN", "forest", "boosting")
CSP = ("mc, 4 encodings", "mc", "nce", "l2")
ABLATIONS = [f"{objective}{term}" for objective in ("mc", "nce") for term in ("", " - in-batch", " - negative", " - dropout")]


class Figures:
    """Test Top-1 by (split, rows, method, inputs), share and seed."""

    def __init__(self):
        self.values = defaultdict(lambda: defaultdict(dict))
        for row in Results().rows:
            key = tuple(row[name] for name in ("split", "rows", "method", "inputs"))
            self.values[key][float(row["share"])][int(row["seed"])] = float(row["test_top1"])

    def of(self, key, share):
        return list(self.values[key][share].values())

    def differences(self, a, b, share):
        """Seed by seed, which share the label draw."""
        a, b = self.values[a][share], self.values[b][share]
        return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


SIGNED = "{:+.3f} ± {:.3f}"


def spread(values, form="{:.3f} ± {:.3f}"):
    if not values:
        return ""
    if len(values) == 1:
        return form.split(" ")[0].format(*values) + " (1)"
    return form.format(np.mean(values), np.std(values, ddof=1)) + ("" if len(values) == 5 else f" ({len(values)})")


def table(title, lines):
    """lines: (what, cells); a line without any figure is left out, and so is a table without lines."""
    lines = [(what, cells) for what, cells in lines if any(cells)]
    if not lines:
        return
    print(f"\n**{title}**\n\n| | " + " | ".join(f"{share:.0%}" for share in SHARES) + " |\n|---" + "|---" * len(SHARES) + "|")
    for what, cells in lines:
        print(f"| {what} | " + " | ".join(cells) + " |")


def lines_of(figures, keys):
    return [(what, [spread(figures.of(key, share)) for share in SHARES]) for what, key in keys]


def tables(figures):
    for split, rows in (("block", "all"), ("random", "train")):
        place = [(f"CSP, {m}, pre-trained on {'all rows' if r == 'all' else 'the train rows'}", (split, r, m, "place"))
                 for r in dict.fromkeys((rows, "train")) for m in CSP]
        place += [(name, (split, "labels", m, "place")) for name, m in (("supervised only", "supervised"),
                                                                        ("supervised only, longer", "supervised, longer"),
                                                                        ("supervised only, 4 encodings", "supervised, 4 encodings"))]
        table(f"{split} split, place alone", lines_of(figures, place + [(m, (split, "labels", m, "place")) for m in BASELINES]))
        both = [(f"image x CSP, {m}", (split, rows, m, "image+place")) for m in CSP]
        both += [(f"image x supervised only{more}", (split, "labels", f"supervised{more}", "image+place")) for more in ("", ", 4 encodings")]
        both += [("image alone", (split, "labels", "softmax", "image"))]
        both += [(m, (split, "labels", m, "image+place")) for b in BASELINES for m in (f"image x {b}", b)]
        table(f"{split} split, place and image", lines_of(figures, both))
    for split, rows in (("block", "all"), ("block", "train"), ("random", "train")):
        table(f"terms left out, {split} split, pre-trained on {'all rows' if rows == 'all' else 'the train rows'}, place alone",
              lines_of(figures, [(m, (split, rows, m, "place")) for m in ABLATIONS]))
    for split, rows in (("block", "all"), ("random", "train")):
        pair = {**{f"supervised only{more}": (split, "labels", f"supervised{more}", "place") for more in ("", ", 4 encodings")},
                **{m: (split, rows, m, "place") for m in CSP}}
        table(f"{split} split, place alone: differences on the same draws",
              [(f"{a} less {b}", [spread(figures.differences(pair[a], pair[b], share), SIGNED) for share in SHARES])
               for a, b in (("mc", "nce"), ("mc", "l2"), *((m, "supervised only") for m in CSP[1:]),
                            ("mc, 4 encodings", "supervised only, 4 encodings"))])
    for method in CSP[:2]:
        for inputs, names in (("place", BASELINES), ("image+place", [f"image x {b}" for b in BASELINES] + ["forest", "boosting"])):
            key = "block", "all", method, inputs
            table(f"block split, CSP, {method}, {inputs}: less each other method on the same draws",
                  [(name, [spread(figures.differences(key, ("block", "labels", name, inputs), share), SIGNED) for share in SHARES])
                   for name in names])
    for split, rows in (("block", "all"), ("random", "train")):
        table(f"{split} split, default options, place alone",
              lines_of(figures, [(m, (split, rows, m, "place")) for m in ("mc, defaults", "mc, shorter second stage", "mc")]))


STYLES = {"mc, 4 encodings": ("#8c0000", "-", "*"), "mc": ("#d62728", "-", "o"), "nce": ("#ff7f0e", "-", "s"),
          "l2": ("#9467bd", "-", "^"), "supervised": ("#444444", "--", "x"),
          "k-NN": ("#1f77b4", ":", "v"), "forest": ("#2ca02c", ":", "D"), "boosting": ("#17becf", ":", "P")}


def name_of(method):
    objective, *rest = method.split(", ")
    return ", ".join(["CSP", objective.upper(), *rest])


def panel(axes, figures, title, keys):
    for number, (label, style, key) in enumerate(keys):
        shares = [share for share in SHARES if len(figures.of(key, share)) > 1]
        if not shares:
            continue
        color, line, marker = STYLES[style]
        means = [np.mean(figures.of(key, share)) for share in shares]
        spreads = [np.std(figures.of(key, share), ddof=1) for share in shares]
        at = [100 * share * 1.02 ** (number - len(keys) / 2) for share in shares]  # side by side, so that no bar hides another
        axes.errorbar(at, means, spreads, label=label, color=color, linestyle=line, marker=marker, markersize=4.5,
                      capsize=2, linewidth=1.3)
    axes.set_xscale("log")
    axes.set_xticks([100 * share for share in SHARES], [f"{share:.0%}" for share in SHARES])
    axes.minorticks_off()
    axes.set_xlabel("labels of the train rows")
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7.5, loc="lower right")


def plot(figures, path):
    import matplotlib
    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "quality"  # the same file from the same figures
    import matplotlib.pyplot as plt
    panels, axes = plt.subplots(1, 3, figsize=(13, 5))
    splits = (("block", "all", "Block split, place alone\n(images of all rows pre-trained on)"),
              ("random", "train", "Random split, place alone\n(pre-trained on the train rows)"))
    for index, (split, rows, title) in enumerate(splits):
        keys = [(name_of(m), m, (split, rows, m, "place")) for m in CSP]
        keys += [("the same network, supervised only", "supervised", (split, "labels", "supervised", "place"))]
        keys += [(m, m, (split, "labels", m, "place")) for m in BASELINES]
        panel(axes[2 * index], figures, title, keys)
    keys = [("image x " + name_of(m), m, ("block", "all", m, "image+place")) for m in CSP[:2]]
    keys += [("image x supervised only", "supervised", ("block", "labels", "supervised", "image+place"))]
    keys += [(f"image x {m}", m, ("block", "labels", f"image x {m}", "image+place")) for m in BASELINES]
    panel(axes[1], figures, "Block split, place and image", keys)
    axes[0].set_ylabel("Top-1 on test rows, mean and sd of 5 seeds")
    panels.tight_layout()
    panels.savefig(path, metadata={"Date": None} if path.endswith(".svg") else None, dpi=110)


def main(arguments):
    figures = Figures()
    tables(figures)
    if "quick" in arguments:
        return
    try:
        plot(figures, arguments[0] if arguments else FIGURE)
    except ImportError:
        print("\nno matplotlib: no figure (Debian: python3-matplotlib)", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
