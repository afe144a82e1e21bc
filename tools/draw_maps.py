"""Draws the maps and curves of doc/maps.md: draw_maps.py TABLES IMAGES. Called by tools/draw_maps.sh, which writes the tables."""
import csv
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

WEST, SOUTH, WIDTH, HEIGHT = -180, -60, 360, 144
EXTENT = (WEST, WEST + WIDTH, SOUTH, SOUTH + HEIGHT)
PALETTE = dict(Af="#1b7837", Aw="#a6d96a", BSh="#fdae61", BSk="#fee08b", BWh="#d73027", BWk="#f46d43", Cf="#66c2a5", Cs="#3288bd",
               Cw="#abdda4", Dd="#9970ab", Df="#5e4fa2", Dw="#c2a5cf", EF="#d0d0d0", ET="#8c96c6")
BLANK = "#f4f4f2"

plt.rcParams.update({"font.size": 9, "axes.titlesize": 10, "figure.dpi": 100, "savefig.dpi": 100})


def read(folder, name):
    with open(f"{folder}/{name}.csv") as file:
        return list(csv.DictReader(file))


def raster(rows, columns, kind=float):
    """Cells of one degree as an image, first row in the south: (HEIGHT, WIDTH, columns)."""
    image = np.full((HEIGHT, WIDTH, len(columns)), np.nan)
    for row in rows:
        image[int(row["j"]) - SOUTH, int(row["i"]) - WEST] = [kind(row[column]) for column in columns]
    return image


def show(axes, image, title, **options):
    axes.set_facecolor(BLANK)
    shown = axes.imshow(image, origin="lower", extent=EXTENT, interpolation="nearest", **options)
    axes.set(title=title, xticks=range(-180, 181, 60), yticks=range(-60, 84, 30))
    axes.grid(color="black", alpha=0.15, linewidth=0.5)
    axes.tick_params(labelbottom=False, labelleft=False, length=0)
    return shown


def save(figure, images, name):
    figure.savefig(f"{images}/map-{name}.png", facecolor="white", bbox_inches="tight", pad_inches=0.08)


def draw_priors(tables, images, observed):
    figure, axes = plt.subplots(1, 3, figsize=(12, 1.75), layout="constrained")
    names = {"Cf": "Cf: temperate, no dry season", "BWh": "BWh: hot desert", "Df": "Df: cold, no dry season"}
    for one, (label, title) in zip(axes, names.items()):
        probability = np.where(observed, raster(read(tables, f"prior-{label}"), ["probability"])[..., 0], np.nan)
        shown = show(one, probability, title, cmap="viridis", vmin=0, vmax=1)
    figure.colorbar(shown, ax=axes, label="P(y | x)", shrink=0.9, pad=0.01)
    save(figure, images, "priors")


def draw_classes(tables, images, observed):
    """The class map, paler where the model is undecided, beside the labels of all observations."""
    figure, axes = plt.subplots(1, 2, figsize=(12, 2.8), layout="constrained")
    cells = read(tables, "classes")
    colours = np.full((HEIGHT, WIDTH, 4), np.nan)
    for cell in cells:
        alpha = np.interp(float(cell["probability"]), [0.2, 0.8], [0.35, 1])
        colours[int(cell["j"]) - SOUTH, int(cell["i"]) - WEST] = matplotlib.colors.to_rgba(PALETTE[cell["label"]], alpha)
    colours[~observed] = 0
    show(axes[0], colours, "csp_class_grid: the most probable climate of each degree")
    show(axes[1], np.zeros((HEIGHT, WIDTH, 4)), "the truth: labels of the 6,000 places")
    places = read(tables, "observations")
    axes[1].scatter([float(p["lon"]) for p in places], [float(p["lat"]) for p in places], s=3.5, linewidths=0,
                    c=[PALETTE[p["label"]] for p in places])
    axes[1].set(xlim=EXTENT[:2], ylim=EXTENT[2:])
    handles = [matplotlib.patches.Patch(color=colour, label=label) for label, colour in PALETTE.items()]
    figure.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.08), ncols=len(handles), frameon=False, handlelength=1, columnspacing=1.2)
    save(figure, images, "classes")


def draw_embeddings(tables, images):
    figure, axes = plt.subplots(1, 2, figsize=(12, 2.6), layout="constrained")
    for one, (name, title) in zip(axes, {"before": "before pre-training", "after": "after pre-training"}.items()):
        colours = raster(read(tables, f"embedding-{name}"), ["red", "green", "blue"]) / 255
        show(one, np.dstack([np.nan_to_num(colours), ~np.isnan(colours[..., 0])]), title)
    save(figure, images, "embeddings")


def curve(axes, rows, column, label, **options):
    points = [(int(row["epoch"]), float(row[column])) for row in rows if row[column]]
    axes.plot(*zip(*points), label=label, **options)


def draw_curves(tables, images):
    figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
    metrics = read(tables, "metrics")

    def rows(model, stage):
        return [row for row in metrics if row["model"] == model and row["stage"] == stage]

    stages = sorted({row["stage"] for row in metrics}, key=lambda stage: not stage.startswith("pre"))
    pretraining, supervised = stages
    curve(axes[0], rows("places", pretraining), "loss", "training", color="#3288bd")
    curve(axes[0], rows("places", pretraining), "validation_loss", "rows held out", color="#d73027")
    axes[0].set(title="pre-training on images: loss", xlabel="epoch")
    curve(axes[1], rows("places", supervised), "validation_top1", "pre-trained on images first", color="#3288bd")
    curve(axes[1], rows("labels only", supervised), "validation_top1", "labels only", color="#f46d43")
    axes[1].set(title="supervised training: top-1 of rows held out", xlabel="epoch")
    for one in axes:
        one.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
        one.grid(color="black", alpha=0.15, linewidth=0.5)
        one.legend(frameon=False)
        one.spines[["top", "right"]].set_visible(False)
    save(figure, images, "curves")


def main():
    tables, images = sys.argv[1:]
    observed = np.zeros((HEIGHT, WIDTH), bool)
    for row in read(tables, "observed"):
        observed[int(row["j"]) - SOUTH, int(row["i"]) - WEST] = True
    draw_priors(tables, images, observed)
    draw_classes(tables, images, observed)
    draw_embeddings(tables, images)
    draw_curves(tables, images)


main()
