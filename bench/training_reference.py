"""Training as the published CSP code does it, in plain PyTorch, over the rows of a table: what training.py measures csp_ext
against, and checks its losses with. Formulas: doc/numerics.md.

    training_reference.py TABLE BATCH EPOCHS contrastive|supervised

prints a line of JSON: seconds of reading and of each epoch, and the mean loss of each epoch. The encoding of positions
is computed in NumPy for every pass and the encoder runs once for each of places, dropout twins and random places, as
there; threads as OPENBLAS_NUM_THREADS and OMP_NUM_THREADS say.
"""
import io
import json
import math
import os
import struct
import sys
import time

import numpy as np
import psycopg2
import torch
from torch import nn
from torch.nn import functional

FREQUENCIES, MIN_RADIUS, MAX_RADIUS = 64, 0.005, 360
HIDDEN, DIM = 512, 256
TEMPERATURE = 0.5
LEARNING_RATE, SUPERVISED_RATE = 2e-3, 1e-3


def encode(lonlat):
    """Space2Vec-grid: per axis and frequency a sine and a cosine, angles in float64."""
    steps = math.log(MAX_RADIUS / MIN_RADIUS) / (FREQUENCIES - 1)
    frequencies = 1 / (MIN_RADIUS * np.exp(np.arange(FREQUENCIES) * steps))
    angles = lonlat.astype(np.float32).astype(np.float64)[:, :, None] * frequencies
    return torch.from_numpy(np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(len(lonlat), -1).astype(np.float32))


class Encoder(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.hidden, self.output = nn.Linear(4 * FREQUENCIES, HIDDEN), nn.Linear(HIDDEN, DIM)
        self.norm, self.dropout = nn.LayerNorm(HIDDEN), nn.Dropout(dropout)
        self.activation = nn.LeakyReLU(0.2)
        for layer in (self.hidden, self.output):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, lonlat):
        x = self.norm(self.dropout(self.activation(self.hidden(encode(lonlat)))))
        return self.dropout(self.activation(self.output(x)))


def random_places(count):
    """Uniform by area on the sphere."""
    lon = 360 * np.random.rand(count) - 180
    return np.stack([lon, np.degrees(np.arcsin(2 * np.random.rand(count) - 1))], axis=1)


def contrastive_terms(encoder, projection, lonlat, images):
    """The three terms of MC: among the images of the batch, against random places, against dropout twins."""
    u = functional.normalize(encoder(lonlat), dim=1)
    twins = functional.normalize(encoder(lonlat), dim=1)
    random = functional.normalize(encoder(random_places(len(lonlat))), dim=1)
    v = functional.normalize(projection(images), dim=1)
    own = torch.arange(len(u))
    in_batch = functional.cross_entropy(u @ v.t() / TEMPERATURE, own)
    pairs = torch.stack([(u * v).sum(1), (random * v).sum(1)], dim=1) / TEMPERATURE
    negative = functional.cross_entropy(pairs, torch.zeros(len(u), dtype=torch.long))
    dropout = functional.cross_entropy(u @ twins.t() / TEMPERATURE, own)
    return in_batch, negative, dropout


def full_loss(encoder, head, lonlat, classes):
    """The published supervised loss, with as many random places as rows."""
    scores = torch.sigmoid(head(encoder(np.concatenate([lonlat, random_places(len(lonlat))]))))
    places, background = scores[: len(lonlat)], scores[len(lonlat):]
    absent, rows = -torch.log(1 - places + 1e-5), torch.arange(len(places))
    absent[rows, classes] = places.shape[1] * -torch.log(places[rows, classes] + 1e-5)
    return absent.mean() + (-torch.log(1 - background + 1e-5)).mean()


def read_rows(table, columns):
    """COPY's binary format: places, features and classes as arrays."""
    buffer = io.BytesIO()
    with psycopg2.connect("") as connection, connection.cursor() as cursor:
        cursor.copy_expert(f"COPY (SELECT ST_X(geom), ST_Y(geom), {columns} FROM {table}) TO STDOUT WITH (FORMAT binary)", buffer)
    data, places, values, at = buffer.getbuffer(), [], [], 19
    while struct.unpack_from(">h", data, at)[0] >= 0:
        places.append((struct.unpack_from(">d", data, at + 6)[0], struct.unpack_from(">d", data, at + 18)[0]))
        length = struct.unpack_from(">i", data, at + 26)[0]
        values.append(data[at + 30: at + 30 + length])
        at += 30 + length
    return np.array(places), values


def features_of(values):
    """Arrays of float4: each element has its length before it, after a header of 20 bytes."""
    return np.stack([np.frombuffer(value, ">f4", offset=20)[1::2] for value in values]).astype(np.float32)


def train(table, batch, epochs, contrastive):
    started = time.perf_counter()
    if contrastive:
        lonlat, values = read_rows(table, "features")
        features = torch.from_numpy(features_of(values))
        side = nn.Linear(features.shape[1], DIM)
    else:
        lonlat, values = read_rows(table, "label::int")
        classes = torch.from_numpy(np.array([struct.unpack(">i", value)[0] for value in values]))
        side = nn.Linear(DIM, int(classes.max()) + 1, bias=False)
    reading = time.perf_counter() - started
    encoder = Encoder(0.5)
    rate = LEARNING_RATE if contrastive else SUPERVISED_RATE
    optimizer = torch.optim.Adam([*encoder.parameters(), *side.parameters()], lr=rate)
    seconds, losses = [], []
    for _ in range(epochs):
        started, sum_of_losses = time.perf_counter(), []
        order = np.random.permutation(len(lonlat))
        for begin in range(0, len(order) - batch + 1, batch):
            rows = order[begin: begin + batch]
            if contrastive:
                loss = sum(contrastive_terms(encoder, side, lonlat[rows], features[rows]))
            else:
                loss = full_loss(encoder, side, lonlat[rows], classes[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            sum_of_losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
        losses.append(float(np.mean(sum_of_losses)))
    return {"reading": reading, "seconds": seconds, "losses": losses, "rows": len(lonlat)}


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    np.random.seed(1)
    torch.manual_seed(1)
    print(json.dumps(train(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "contrastive")))
