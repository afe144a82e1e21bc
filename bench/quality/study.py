#!/usr/bin/env python3
"""Trains the cells of the study with csp_train, and measures them with csp_probabilities and csp_fuse. See doc/quality.md.

    study.py [quick] [part ...]      parts: see PARTS; without any, all of them
"""
import json
import os
import sys
import time

import numpy as np

from common import SEEDS, SHARES, Places, Results, connect, query

# Every label is trained on, as the baselines do: nothing is held out (validation_fraction). The rest was chosen by search on
# blocks that are not test blocks; where a method is not named, it has the same options.
OPTIONS = {"validation_fraction": 0, "min_radius": 2, "pretrain_epochs": 20, "min_steps": 100, "fine_tune_batch_size": 64}

OBJECTIVES = {
    "mc": {},
    "mc - in-batch": {"weight_in_batch": 0},
    "mc - negative": {"weight_negative": 0},
    "mc - dropout": {"weight_dropout": 0},
    "nce": {},
    "nce - in-batch": {"weight_in_batch": 0},
    "nce - negative": {"weight_negative": 0},
    "nce - dropout": {"weight_dropout": 0},
    "l2": {},
}
# Means of the probabilities of several models, as a forest is a mean of trees: of one position encoding each.
# The options as they are by default, and with a shorter second stage; both at 10 % of labels alone.
DEFAULTS = {"mc, defaults": {}, "mc, shorter second stage": {"min_steps": 200, "fine_tune_batch_size": 64}}
# Of models that were not pre-trained too: what is owed to the mean alone.
ENCODINGS = [{}] + [{"position_encoding": name} for name in ("sphereC+", "sphereM+", "spherical_harmonics")]
MIXTURES = {f"{method}, 4 encodings": ENCODINGS for method in ("mc", "supervised")}
NAMES = {"mc": "mc", "nce": "nce", "l2": "l2_regression"}


def options_of(method, seed):
    if method in DEFAULTS:
        return {"validation_fraction": 0, "seed": seed, **DEFAULTS[method]}
    if method == "supervised, longer":  # what a network that begins with random weights may want
        return {**OPTIONS, "seed": seed, "min_steps": 600, "encoder_learning_rate": 1}
    options = {**OPTIONS, "seed": seed}
    if method != "supervised":
        options.update({"objective": NAMES[method.split(" ")[0]]}, **OBJECTIVES[method])
    return options


def member_options(method, own, seed):
    """Another encoding brings radii of its own."""
    options = options_of(method.split(", ")[0], seed)
    if "position_encoding" in own:
        del options["min_radius"]
    return {**options, **own}


def source_of(split, rows, share, seed):
    """Rows to train on: all images, those of the train rows, or the labelled rows alone; with the labels that were drawn."""
    condition = {"all": "true", "train": "p.part = 'train'", "labels": "d.id IS NOT NULL"}[rows]
    return f"""SELECT p.geom, p.features, CASE WHEN d.id IS NOT NULL THEN p.truth END AS label
               FROM quality.places p
               LEFT JOIN quality.draws d ON (d.split, d.share, d.seed, d.id) = (p.split, {share}, {seed}, p.id)
               WHERE p.split = '{split}' AND {condition} ORDER BY p.id"""


class Study:
    def __init__(self):
        self.connection, self.results = connect(), Results()
        self.places = Places(self.connection)
        self.model = f"cell {os.getpid()}"  # its versions are the cells; parts may run side by side

    def cell(self, split, rows, method, share, seed):
        key = (split, rows, method, share, seed)
        if self.results.has(split, rows, method, "image+place", share, seed):
            return
        started = time.time()
        if method in MIXTURES:
            place, settings = self.mean_of_members(*key), {"members": MIXTURES[method]}
        else:
            place, settings = self.trained(*key, options_of(method, seed))
        seconds = round(time.time() - started, 1)
        fused, power = self.fused(place, split, share, seed, one_model=method not in MIXTURES)
        for inputs, p, what in (("place", place, settings), ("image+place", fused, {"power": power})):
            if not self.results.has(split, rows, method, inputs, share, seed):
                self.results.add(split, rows, method, inputs, share, seed, self.places.top1(p, split, "val"),
                                 self.places.top1(p, split, "test"), seconds, what)

    def trained(self, split, rows, method, share, seed, options):
        """Probabilities at all places by a model of these options."""
        features = None if rows == "labels" else "features"
        query(self.connection, "CALL csp_train(%s, %s, 'geom', %s, 'label', %s::jsonb)", self.model,
              source_of(split, rows, share, seed), features, json.dumps(options))
        return self.place_probabilities(), options

    def mean_of_members(self, split, rows, method, share, seed):
        members = [self.trained(split, rows, method, share, seed, member_options(method, own, 100 * seed + number))[0]
                   for number, own in enumerate(MIXTURES[method], 1)]
        return np.mean(members, axis=0)

    def place_probabilities(self):
        classes = [row[0] for row in query(self.connection, """SELECT label FROM csp.classes WHERE model = %s
            AND version = (SELECT max(version) FROM csp.classes WHERE model = %s) ORDER BY class""", self.model, self.model)]
        assert classes == self.places.labels, classes
        return self.arrays("SELECT csp_probabilities(geom, %s) FROM observations ORDER BY id", self.model)

    def fused(self, place, split, share, seed, one_model):
        """By csp_fuse, where there is one model that it can take the prior from."""
        draw = split, share, seed
        image = self.arrays("""SELECT p FROM quality.image_probabilities
                               WHERE (split, share, seed) = (%s, %s, %s) ORDER BY id""", *draw)
        fused, power = self.places.fuse(image, place, split)
        if one_model:
            fused = self.arrays("""SELECT csp_fuse(quality.raised(i.p, %s), o.geom, %s)
                                   FROM quality.image_probabilities i JOIN observations o USING (id)
                                   WHERE (split, share, seed) = (%s, %s, %s) ORDER BY id""", power, self.model, *draw)
        return fused, power

    def arrays(self, sql, *arguments):
        return np.array([row[0] for row in query(self.connection, sql, *arguments)], np.float32)


# (split, rows, method) of each part, in the order of importance.
PARTS = {
    "main": [("block", "all", "mc"), ("block", "labels", "supervised"), ("block", "train", "mc"),
             ("random", "train", "mc"), ("random", "labels", "supervised")],
    "mixture": [("block", "all", "mc, 4 encodings")],
    "supervised-mixture": [(split, "labels", "supervised, 4 encodings") for split in ("block", "random")],
    "longer": [(split, "labels", "supervised, longer") for split in ("block", "random")],
    "random-objectives": [("random", "train", method) for method in ("nce", "l2")],
    "random-mixture": [("random", "train", "mc, 4 encodings")],
    "objectives": [("block", "all", method) for method in ("nce", "l2")],
    **{name: [(split, rows, method) for method in OBJECTIVES if " - " in method]
       for name, split, rows in (("ablations", "block", "all"), ("train-ablations", "block", "train"),
                                 ("random-ablations", "random", "train"))},
    "defaults": [(split, rows, method) for split, rows in (("block", "all"), ("random", "train")) for method in DEFAULTS],
    "more": [("block", "train", method) for method in ("nce", "l2")],
}


def main(arguments):
    quick = "quick" in arguments
    parts = [argument for argument in arguments if argument != "quick"] or list(PARTS)
    study = Study()
    for part in parts:
        for seed in SEEDS[:1] if quick else SEEDS:
            for share in [0.1] if part == "defaults" else SHARES:
                for split, rows, method in PARTS[part]:
                    study.cell(split, rows, method, share, seed)


if __name__ == "__main__":
    main(sys.argv[1:])
