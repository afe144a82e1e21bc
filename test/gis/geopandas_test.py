"""GeoPandas: the layers by read_postgis."""
import geopandas
import sqlalchemy
from shapely.geometry import Point

from check import READER, check, equal, query, run

ENGINE = sqlalchemy.create_engine("postgresql+psycopg2://", connect_args=READER)


def read(sql):
    with ENGINE.connect() as connection:
        return geopandas.read_postgis(sqlalchemy.text(sql), connection, index_col="id")


def layers_are_frames():
    for table, srid, columns in [("prior", 4326, ["probability"]), ('"Several Classes"', 3035, ["Cf", "Dd", "ET"]),
                                 ("most_probable", 4326, ["label", "probability", "entropy"])]:
        frame = read("SELECT * FROM maps." + table)
        equal(table + ": columns", list(frame.columns), ["i", "j", "geom"] + columns)
        equal(table + ": SRID", frame.crs.to_epsg(), srid)
        equal(table + ": geometry", sorted(set(frame.geom_type)), ["Polygon"])
        check(table + ": valid geometry", bool(frame.is_valid.all()))
        rows = {r[0]: r[1:] for r in query('SELECT id, ST_AsBinary(geom), "%s" FROM maps.%s' % (columns[0], table))}
        equal(table + ": ids", sorted(frame.index), sorted(rows))
        different = [i for i, cell, value in zip(frame.index, frame.geometry, frame[columns[0]]) if (cell.wkb, value) != (bytes(rows[i][0]), rows[i][1])]
        equal(table + ": the same cells and values", different, [])


def a_place_has_a_cell():
    frame = read("SELECT * FROM maps.prior")
    for x, y in [(10.1, 50.3), (20.2, 60.4)]:
        found = frame[frame.contains(Point(x, y))]
        equal("a place has one cell", len(found), 1)
        expected = query("SELECT probability FROM maps.prior WHERE ST_Within(ST_SetSRID(ST_MakePoint(%s, %s), 4326), geom)", x, y)
        equal("and its probability", float(found["probability"].iloc[0]), expected[0][0])


print("# GeoPandas " + geopandas.__version__)
run(layers_are_frames, a_place_has_a_cell)
