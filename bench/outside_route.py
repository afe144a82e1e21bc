"""The embeddings of a table, outside the database: the way somebody would go who has the model but not csp_ext.

psycopg2 reads the places, NumPy forms the position features in float64 as the published code does, PyTorch computes the
network, and COPY brings the embeddings back. Written to be fast: chunks that fit into the caches, buffers that are used
again, a server-side cursor, and COPY in the binary format, whose rows NumPy lays out in one go.
"""
import io
import json
import math
import struct

import numpy as np
import torch

CHUNK = 8192


class Encoder:
    """A grid encoder from the bytes of a model file (safetensors)."""

    def __init__(self, file):
        size = struct.unpack("<Q", file[:8])[0]
        header = json.loads(file[8 : 8 + size])
        configuration = header.pop("__metadata__")
        wanted = {"position_encoding": "grid", "activation": "leakyrelu", "hidden_layers": "1", "layer_norm": "true"}
        if any(configuration[key] != value for key, value in wanted.items()):
            raise SystemExit(f"outside_route.py computes models with {wanted} only")
        self.weights = {name.removeprefix("spa_enc.ffn.layers."): self.tensor(file, 8 + size, t) for name, t in header.items()}
        n = int(configuration["frequencies"])
        min_radius, max_radius = float(configuration["min_radius"]), float(configuration["max_radius"])
        self.wave_numbers = np.exp(np.arange(n) * -(math.log(max_radius / min_radius) / (n - 1))) / min_radius
        self.angles = np.empty((CHUNK, 2, n))
        self.waves = np.empty((CHUNK, 2, n))
        self.features = np.empty((CHUNK, 2, n, 2), np.float32)
        self.hidden_dim = int(configuration["hidden_dim"])

    @staticmethod
    def tensor(file, start, description):
        begin, end = description["data_offsets"]
        values = np.frombuffer(file, np.float32, (end - begin) // 4, start + begin)
        return torch.from_numpy(values.reshape(description["shape"]).copy())

    def position_features(self, lonlat):
        rows = len(lonlat)
        angles, features = self.angles[:rows], self.features[:rows]
        np.multiply(lonlat.astype(np.float32).astype(float)[:, :, None], self.wave_numbers, out=angles)
        features[..., 0] = np.sin(angles, out=self.waves[:rows])
        features[..., 1] = np.cos(angles, out=self.waves[:rows])
        return torch.from_numpy(features.reshape(rows, -1))

    def embed(self, lonlat):
        w = self.weights
        f = torch.nn.functional
        with torch.inference_mode():
            x = self.position_features(lonlat)
            x = f.leaky_relu(f.linear(x, w["0.linear.weight"], w["0.linear.bias"]), 0.2)
            x = f.layer_norm(x, (self.hidden_dim,), w["0.layernorm.weight"], w["0.layernorm.bias"])
            x = f.leaky_relu(f.linear(x, w["1.linear.weight"], w["1.linear.bias"]), 0.2)
            return x.numpy()


class BinaryRows:
    """Rows (int, real[]) in COPY's binary format."""

    def __init__(self, dim):
        self.row = np.zeros(CHUNK, np.dtype([
            ("fields", ">i2"), ("id_length", ">i4"), ("id", ">i4"), ("array_length", ">i4"), ("dimensions", ">i4"), ("nulls", ">i4"),
            ("type", ">i4"), ("size", ">i4"), ("lower", ">i4"), ("elements", [("length", ">i4"), ("value", ">f4")], dim)]))
        float4_oid = 700
        for field, value in (("fields", 2), ("id_length", 4), ("array_length", 20 + 8 * dim), ("dimensions", 1), ("type", float4_oid),
                             ("size", dim), ("lower", 1)):
            self.row[field] = value
        self.row["elements"]["length"] = 4

    def bytes_of(self, ids, embeddings):
        rows = self.row[: len(ids)]
        rows["id"] = ids
        rows["elements"]["value"] = embeddings
        return memoryview(rows).cast("B")


class Stream(io.RawIOBase):
    """What COPY reads: the header, chunks as they are computed, the trailer."""

    def __init__(self, chunks):
        self.parts = self.all_parts(chunks)
        self.rest = memoryview(b"")

    @staticmethod
    def all_parts(chunks):
        yield memoryview(b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0))
        yield from chunks
        yield memoryview(struct.pack(">h", -1))

    def readable(self):
        return True

    def read(self, size=-1):
        if not self.rest:
            self.rest = next(self.parts, memoryview(b""))
        taken, self.rest = self.rest[:size], self.rest[size:]
        return bytes(taken)


def embed_table(reading, writing, source, target, encoder, threads):
    """Fills the new table `target` (id, e) with the embeddings of `source` (id, geom): one connection reads, the other
    writes."""
    torch.set_num_threads(threads)
    cursor = reading.cursor("places")
    cursor.itersize = CHUNK
    cursor.execute(f"SELECT id, ST_X(geom), ST_Y(geom) FROM {source}")
    rows = None

    def chunks():
        nonlocal rows
        while fetched := cursor.fetchmany(CHUNK):
            table = np.array(fetched, dtype=float)
            embeddings = encoder.embed(table[:, 1:])
            rows = rows or BinaryRows(embeddings.shape[1])
            yield rows.bytes_of(table[:, 0], embeddings)

    with writing.cursor() as copy:
        copy.execute(f"CREATE TABLE {target} (id int, e real[])")
        copy.copy_expert(f"COPY {target} FROM STDIN WITH (FORMAT binary)", Stream(chunks()), size=1 << 20)
    writing.commit()
    reading.commit()
