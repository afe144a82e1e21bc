#!/usr/bin/env python3
"""k-NN, random forest, gradient boosting and softmax regression of scikit-learn, on the label draws of the study.

Hyperparameters are chosen for every split, share and seed by Top-1 on the validation rows. Inputs: place is longitude,
latitude and the point on the unit sphere, of which k-NN sees the sphere alone; image the 64 image features; image+place both.
"image x" a method is the softmax regression on images fused with the method on places, as with a CSP model (Places.fuse).

    baselines.py [quick] [image]        image: only the softmax regressions on images
"""
import sys
import time

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from common import SEEDS, SHARES, SPLITS, Places, Results, connect, query


def knn(settings, rows, _):
    return KNeighborsClassifier(n_neighbors=min(settings["k"], rows), weights=settings["weights"])


def forest(settings, _, seed):
    return RandomForestClassifier(300, min_samples_leaf=settings["leaf"], max_features=settings["tried"], random_state=seed)


def boosting(settings, rows, seed):
    return HistGradientBoostingClassifier(learning_rate=0.1, max_iter=settings["trees"], max_leaf_nodes=settings["leaves"],
                                          min_samples_leaf=min(settings["leaf"], max(1, rows // 30)), random_state=seed)


def softmax(settings, *_):
    return make_pipeline(StandardScaler(), LogisticRegression(C=settings["C"], max_iter=500))


GRIDS = {
    "k-NN": (knn, [dict(k=k, weights=w) for k in (1, 3, 5, 10, 20) for w in ("uniform", "distance")]),
    "forest": (forest, [dict(leaf=leaf, tried=tried) for leaf in (1, 3) for tried in (1, "sqrt", None)]),
    "boosting": (boosting, [dict(trees=t, leaves=n, leaf=5) for t in (30, 80) for n in (4, 16)]),
    "softmax": (softmax, [dict(C=C) for C in (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1)]),
}


def fit(places, method, inputs, labelled, split, seed, known=None):
    """The best of a method's grid by the validation rows, unless it is known: its probabilities of all rows, and its settings."""
    make, grid = GRIDS[method]
    best = None
    for settings in [known] if known else grid:
        if inputs.shape[1] > 8 and settings.get("tried", 1) is None:
            continue  # all of 69 inputs at every node: slow, and never the best
        model = make(settings, int(labelled.sum()), seed).fit(inputs[labelled], places.classes[labelled])
        probabilities = np.zeros((len(inputs), len(places.labels)), np.float32)
        probabilities[:, model.classes_] = model.predict_proba(inputs)
        value = places.top1(probabilities, split, "val")
        if best is None or value > best[0]:
            best = value, probabilities, settings
    return best[1], best[2]


def inputs_of(places, method):
    place = places.coordinates[:, 2:] if method == "k-NN" else places.coordinates
    return {"place": place, "image": places.features, "image+place": np.hstack([place, places.features])}


def keep_image_probabilities(connection, places, split, share, seed, probabilities):
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO quality.image_probabilities VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
                           [(split, share, seed, id, p.tolist()) for id, p in zip(places.ids, probabilities)])


def run_cell(connection, places, results, split, share, seed):
    labelled = places.labelled(connection, split, share, seed)

    def measure(method, inputs, probabilities, settings, started):
        if not results.has(split, "labels", method, inputs, share, seed):
            results.add(split, "labels", method, inputs, share, seed, places.top1(probabilities, split, "val"),
                        places.top1(probabilities, split, "test"), round(time.time() - started, 1), settings)

    def fitted(method, name):
        started = time.time()
        known = results.settings(split, "labels", method, name, share, seed)
        probabilities, settings = fit(places, method, inputs_of(places, method)[name], labelled, split, seed, known)
        measure(method, name, probabilities, settings, started)
        return probabilities

    image = fitted("softmax", "image")
    keep_image_probabilities(connection, places, split, share, seed, image)
    if "image" in sys.argv[1:]:
        return
    for method in ("k-NN", "forest", "boosting"):
        if results.has(split, "labels", "image x " + method, "image+place", share, seed):
            continue
        started = time.time()
        fused, power = places.fuse(image, fitted(method, "place"), split)
        if method != "k-NN" and not results.has(split, "labels", method, "image+place", share, seed):
            fitted(method, "image+place")  # k-NN has no scale that would make degrees and image features comparable
        measure("image x " + method, "image+place", fused, {"power": power}, started)


def main(seeds):
    connection, results = connect(), Results()
    places = Places(connection)
    for split in SPLITS:
        for seed in seeds:
            for share in SHARES:
                run_cell(connection, places, results, split, share, seed)


if __name__ == "__main__":
    main(SEEDS[:1] if "quick" in sys.argv[1:] else SEEDS)
