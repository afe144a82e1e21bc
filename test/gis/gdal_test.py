"""OGR and GDAL: ogr2ogr to GeoPackage, gdal_translate to GeoTIFF, values read back and compared."""
import os
import subprocess

import numpy
from osgeo import gdal, ogr

from check import OUTPUT, READER, check, equal, query, run

gdal.UseExceptions()
CONNECTION = "PG:" + " ".join("%s='%s'" % item for item in READER.items())


def command(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    check("%s ends well: %s" % (words[0], " ".join(words[-2:]).replace(OUTPUT + "/", "").replace(CONNECTION, "PG:...")),
          done.returncode == 0 and "ERROR" not in done.stdout, done.stdout)
    return done.stdout


def output_path(name):
    path = os.path.join(OUTPUT, name)
    if os.path.exists(path):
        os.unlink(path)
    return path


def ogr_sees_the_layers():
    seen = command("ogrinfo", "-so", CONNECTION, "maps.prior")
    check("ogrinfo: type, SRID and count", "Geometry: Polygon" in seen and 'ID["EPSG",4326]' in seen and "Feature Count: 10640" in seen, seen)
    check("ogrinfo: the probability is a real number", "probability: Real(Float32)" in seen, seen)


def layers_go_to_a_geopackage():
    path = output_path("layers.gpkg")
    layers = [("maps.prior", "prior", 4326, "probability"), ("maps.Several Classes", "several", 3035, "Cf"),
              ("maps.most_probable", "most_probable", 4326, "label")]
    for number, (table, name, _, _) in enumerate(layers):
        command("ogr2ogr", *(["-update"] if number else []), "-f", "GPKG", "-nln", name, path, CONNECTION, table)
    file = ogr.Open(path)
    for table, name, srid, column in layers:
        layer = file.GetLayerByName(name)
        equal(name + ": geometry type", ogr.GeometryTypeToName(layer.GetGeomType()), "Polygon")
        equal(name + ": SRID", int(layer.GetSpatialRef().GetAuthorityCode(None)), srid)
        schema, relation = table.split(".")
        rows = {r[0]: r[1:] for r in query('SELECT id, ST_AsBinary(geom), "%s" FROM %s."%s"' % (column, schema, relation))}
        read = {f.GetField("id"): (bytes(f.GetGeometryRef().ExportToWkb(ogr.wkbNDR)), f.GetField(column)) for f in layer}
        equal(name + ": ids", sorted(read), sorted(rows))
        different = sum(read[i][0] != bytes(rows[i][0]) or
                        (read[i][1] != rows[i][1] if column == "label" else numpy.float32(read[i][1]) != numpy.float32(rows[i][1])) for i in rows)
        equal(name + ": the same cells and values", different, 0)


def expected_pixels(label, width, height):
    """What csp_probability says of the centres of all pixels, by rows from the north-west."""
    rows = query("SELECT csp_probability(ST_SetSRID(ST_MakePoint(-30 + (n %% %s + 0.5::float8) * (70.0::float8 / %s), 72 - (n / %s + 0.5::float8) * "
                 "(38.0::float8 / %s)), 4326), %s, 'places') FROM generate_series(0, %s) n", width, width, width, height, label, width * height - 1)
    return numpy.array([p for p, in rows], numpy.float32).reshape(height, width)


def translate(program, table, name, *options):
    """GDAL 3.6 copies a band that it has not read as an empty one: into plain GeoTIFF, unless it is warped on the way."""
    path = output_path(name)
    command(program, "-q", *options, CONNECTION + " schema='maps' table='%s' mode='2'" % table, path)
    return gdal.Open(path)


def the_raster_goes_to_a_geotiff():
    for program, name, options in [("gdal_translate", "prior.tif", ["-of", "COG"]), ("gdalwarp", "prior-warped.tif", [])]:
        file = translate(program, "prior_raster", name, *options)
        equal(name + ": size and bands", (file.RasterXSize, file.RasterYSize, file.RasterCount), (700, 380, 2))
        equal(name + ": SRID", file.GetSpatialRef().GetAuthorityCode(None), "4326")
        check(name + ": corner and pixels", numpy.allclose(file.GetGeoTransform(), (-30, 0.1, 0, 72, 0, -0.1), rtol=0, atol=1e-9), file.GetGeoTransform())
        for number, label in enumerate(("Cf", "ET"), 1):
            band = file.GetRasterBand(number)
            equal("%s: type and no data of band %d" % (name, number), (gdal.GetDataTypeName(band.DataType), band.GetNoDataValue()), ("Float32", -9999.0))
            different = (band.ReadAsArray() != expected_pixels(label, 700, 380)).sum()
            # The centres are computed here from the corner of the raster, there from that of a tile: the last bit may differ.
            check("%s: values of band %d" % (name, number), different <= 5, different)


def no_data_goes_to_a_geotiff():
    rows = query("SELECT t.i + c.x - 1, t.j + c.y - 1, c.val FROM (SELECT (rid - 1) %% 2 * 256 AS i, (rid - 1) / 2 * 256 AS j, rast FROM maps.disc "
                 "WHERE rid > %s) t, ST_PixelAsPoints(t.rast) c", 0)
    expected = numpy.full((300, 300), -9999, numpy.float32)
    for x, y, value in rows:
        expected[y, x] = value
    for program, name, options in [("gdal_translate", "disc.tif", ["-of", "COG"]), ("gdalwarp", "disc-warped.tif", [])]:
        pixels = translate(program, "disc", name, *options).ReadAsArray()
        check(name + ": pixels beyond the polygon have no data", 0.7 < (pixels != -9999).mean() < 0.8, (pixels != -9999).mean())
        equal(name + ": all pixels are as in the database", int((pixels != expected).sum()), 0)


print("# GDAL " + gdal.__version__)
run(ogr_sees_the_layers, layers_go_to_a_geopackage, the_raster_goes_to_a_geotiff, no_data_goes_to_a_geotiff)
