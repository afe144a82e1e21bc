"""QGIS, without a screen: the layers and the raster through its PostgreSQL providers, drawn with the styles that csp_ext ships."""
import os
import sys
from collections import Counter

os.environ["QT_QPA_PLATFORM"] = "offscreen"
from qgis.PyQt.QtCore import QSize
from qgis.PyQt.QtGui import QColor
from qgis.core import (Qgis, QgsAbstractDatabaseProviderConnection, QgsApplication, QgsDataSourceUri, QgsMapRendererParallelJob, QgsMapSettings, QgsPointXY, QgsProviderRegistry,
                       QgsRasterLayer, QgsRenderContext, QgsVectorLayer, QgsWkbTypes)

from check import OUTPUT, READER, STYLES, check, equal, query, run

WHITE = QColor("white").rgb()


def source(table, geometry):
    uri = QgsDataSourceUri()
    uri.setConnection(READER["host"], READER["port"], READER["dbname"], READER["user"], "")
    uri.setDataSource("maps", table, geometry)
    return uri


def open_layer(table):
    """As somebody who names the table and nothing else: no key, no SRID, no type."""
    return QgsVectorLayer(source(table, "geom").uri(False), table, "postgres")


def draw(layer, name):
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(700, 380))
    settings.setBackgroundColor(QColor("white"))
    settings.setFlag(QgsMapSettings.Antialiasing, False)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    image = job.renderedImage()
    image.save(os.path.join(OUTPUT, name + ".png"))
    check(name + " is drawn without errors", not job.errors(), [e.message for e in job.errors()])
    return image, settings


def colours(image):
    return Counter(image.pixel(x, y) for x in range(image.width()) for y in range(image.height()))


def the_browser_lists_the_layers():
    connection = QgsProviderRegistry.instance().providerMetadata("postgres").createConnection(source("", "").connectionInfo(False), {})
    tables = {t.tableName(): t for t in connection.tables("maps")}
    for name, srid in [("prior", "EPSG:4326"), ("Several Classes", "EPSG:3035"), ("most_probable", "EPSG:4326")]:
        table = tables[name]
        equal(name + " is listed as a materialized view", bool(table.flags() & QgsAbstractDatabaseProviderConnection.MaterializedView), True)
        equal(name + " is listed with its key first", table.primaryKeyColumns()[0], "id")
        equal(name + " is listed with its geometry", [(QgsWkbTypes.displayString(t.wkbType), t.crs.authid()) for t in table.geometryColumnTypes()],
              [("Polygon", srid)])
        equal(name + " is listed with its comment", table.comment().startswith('prior of model "places"'), True)


def layers_open_without_questions():
    for table, srid, fields in [
            ("prior", "EPSG:4326", ["id", "i", "j", "probability"]),
            ("Several Classes", "EPSG:3035", ["id", "i", "j", "Cf", "Dd", "ET"]),
            ("most_probable", "EPSG:4326", ["id", "i", "j", "label", "probability", "entropy"])]:
        layer = open_layer(table)
        check(table + " is valid", layer.isValid(), layer.error().message())
        provider = layer.dataProvider()
        equal(table + ": key", [layer.fields()[k].name() for k in provider.pkAttributeIndexes()], ["id"])
        equal(table + ": geometry type", QgsWkbTypes.displayString(layer.wkbType()), "Polygon")
        equal(table + ": SRID", layer.crs().authid(), srid)
        equal(table + ": count", layer.featureCount(), query('SELECT count(*) FROM maps."%s"' % table)[0][0])
        equal(table + ": fields", [f.name() for f in layer.fields()], fields)
        equal(table + ": comments", [f.comment() for f in layer.fields()],
              [c for c, in query("SELECT col_description(attrelid, attnum) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
                                 "AND attname <> 'geom' ORDER BY attnum", 'maps."%s"' % table)])
        rows = {r[0]: r[1:] for r in query('SELECT id, ST_XMin(geom), ST_YMax(geom), "%s"::text FROM maps."%s"' % (fields[-1], table))}
        read = {f["id"]: (f.geometry().boundingBox().xMinimum(), f.geometry().boundingBox().yMaximum(), float(f[fields[-1]])) for f in layer.getFeatures()}
        equal(table + ": ids", sorted(read), sorted(rows))
        worst = max(max(abs(float(a) - b) for a, b in zip(rows[i], read[i])) for i in rows)
        check(table + ": the same cells and values", worst < 1e-6, worst)


def a_layer_is_drawn_in_its_style():
    layer = open_layer("prior")
    message, loaded = layer.loadNamedStyle(os.path.join(STYLES, "prior.qml"))
    check("the style is taken", loaded and layer.renderer().type() == "graduatedSymbol", message)
    equal("the style is about the probability", layer.renderer().classAttribute(), "probability")
    image, settings = draw(layer, "qgis-prior")
    seen = colours(image)
    classes = [r.symbol().color().rgb() for r in layer.renderer().ranges()]
    equal("the style has ten colours", len(set(classes)), 10)
    check("all of the layer is drawn", seen[WHITE] < 0.01 * image.width() * image.height(), seen[WHITE])
    # What the drawing should have of each class, by area.
    shares = dict(query("SELECT least(floor(probability * 10)::int, 9), count(*)::float8 / sum(count(*)) OVER () FROM maps.prior GROUP BY 1"))
    drawn = {k: seen[c] / sum(seen[d] for d in classes) for k, c in enumerate(classes)}
    check("each colour has its share", all(abs(drawn[k] - float(shares.get(k, 0))) < 0.01 for k in range(10)), (drawn, shares))
    renderer, context = layer.renderer(), QgsRenderContext.fromMapSettings(settings)
    renderer.startRender(context, layer.fields())
    wrong = 0
    for feature in layer.getFeatures():
        symbol = renderer.symbolForFeature(feature, context)
        at = settings.mapToPixel().transform(feature.geometry().centroid().asPoint())
        wrong += symbol is None or image.pixel(int(at.x()), int(at.y())) != symbol.color().rgb()
    renderer.stopRender(context)
    equal("each cell has its colour", wrong, 0)


def hexagons_and_classes_are_drawn():
    layer = open_layer("Several Classes")
    layer.loadNamedStyle(os.path.join(STYLES, "prior.qml"))
    layer.renderer().setClassAttribute("Cf")
    image, _ = draw(layer, "qgis-hexagons")
    check("another column takes the style", len(colours(image)) >= 8, colours(image))
    layer = open_layer("most_probable")
    layer.loadNamedStyle(os.path.join(STYLES, "prior.qml"))
    image, _ = draw(layer, "qgis-most-probable")
    check("a layer of most probable classes takes the style", len(colours(image)) >= 6, colours(image))


def open_raster(table):
    uri = source(table, "rast")
    return QgsRasterLayer("PG: " + uri.uri(False), table, "postgresraster")


def the_raster_opens_without_questions():
    layer = open_raster("prior_raster")
    check("the raster is valid", layer.isValid(), layer.error().message())
    provider = layer.dataProvider()
    equal("raster: SRID", layer.crs().authid(), "EPSG:4326")
    equal("raster: size", (layer.width(), layer.height(), layer.bandCount()), (700, 380, 2))
    equal("raster: type of pixels", [provider.dataType(b) for b in (1, 2)], [Qgis.DataType.Float32] * 2)
    equal("raster: no data", [provider.sourceNoDataValue(b) for b in (1, 2)], [-9999.0, -9999.0])
    extent = layer.extent()
    check("raster: extent", max(abs(a - b) for a, b in zip((extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()),
                                                          (-30, 34, 40, 72))) < 1e-9, extent.toString())
    rows = query("SELECT x, y, csp_probability(p, 'Cf', 'places'), csp_probability(p, 'ET', 'places') FROM "
                 "(SELECT -30 + (i * 37 %% 700 + 0.5) * 0.1 AS x, 72 - (i * 71 %% 380 + 0.5) * 0.1 AS y FROM generate_series(%s, 299) i) s, "
                 "ST_SetSRID(ST_MakePoint(x, y), 4326) p", 0)
    worst = max(abs(provider.sample(QgsPointXY(x, y), band)[0] - p) for x, y, *values in rows for band, p in enumerate(values, 1))
    check("raster: values", worst < 1e-5, worst)


def the_raster_is_drawn_in_its_style():
    for table in ("prior_raster", "disc"):
        layer = open_raster(table)
        message, loaded = layer.loadNamedStyle(os.path.join(STYLES, "prior_raster.qml"))
        check(table + " takes the style", loaded and layer.renderer().type() == "singlebandpseudocolor", message)
        image, _ = draw(layer, "qgis-" + table.replace("_", "-"))
        seen = colours(image)
        check(table + " has many colours", len(seen) > 100, len(seen))
        share = seen[WHITE] / image.width() / image.height()
        if table == "prior_raster":
            check(table + " is drawn to its edges", share < 0.01, share)
        else:
            # The box of the disc is 380 pixels wide in the middle of the drawing.
            disc = 1 - share * 700 / 380 + 320 / 380
            check("beyond the disc there is nothing", abs(disc - 3.14159 / 4) < 0.02, disc)


application = QgsApplication([], False)
application.initQgis()
print("# QGIS " + Qgis.QGIS_VERSION)
run(the_browser_lists_the_layers, layers_open_without_questions, a_layer_is_drawn_in_its_style, hexagons_and_classes_are_drawn,
    the_raster_opens_without_questions, the_raster_is_drawn_in_its_style)
sys.stdout.flush()
application.exitQgis()
