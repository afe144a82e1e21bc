// Decoding of PostGIS points and their transformation to WGS 84.
#include "geometry.h"

#include "guard.h"
#include "toast.h"

#include "catalog.h"

extern "C" {
#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/syscache.h"
}

namespace csp::server {

namespace {

constexpr int32_t srid_wgs84 = 4326;

// Flag bits of gserialized (PostGIS, liblwgeom).
constexpr uint8_t flag_z = 0x01;
constexpr uint8_t flag_m = 0x02;
constexpr uint8_t flag_bbox = 0x04;
constexpr uint8_t flag_geodetic = 0x08;
constexpr uint8_t flag_extended = 0x10;  // version 2 only: eight more bytes of flags
constexpr uint8_t flag_version2 = 0x40;

constexpr uint32_t type_point = 1;

std::size_t bbox_size(uint8_t flags) {
    if (flags & flag_geodetic)
        return 6 * sizeof(float);
    int dimensions = 2 + ((flags & flag_z) ? 1 : 0) + ((flags & flag_m) ? 1 : 0);
    return 2 * dimensions * sizeof(float);
}

// Schema of extension postgis; InvalidOid without it. May raise server errors.
Oid postgis_schema() {
    Relation relation = table_open(ExtensionRelationId, AccessShareLock);
    ScanKeyData key;
    ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("postgis"));
    SysScanDesc scan = systable_beginscan(relation, ExtensionNameIndexId, true, nullptr, 1, &key);
    HeapTuple tuple = systable_getnext(scan);
    Oid schema = HeapTupleIsValid(tuple) ? ((Form_pg_extension)GETSTRUCT(tuple))->extnamespace : InvalidOid;
    systable_endscan(scan);
    table_close(relation, AccessShareLock);
    return schema;
}

Oid postgis_type(const char *name) {
    return server_call([name] {
        Oid schema = postgis_schema();
        return OidIsValid(schema) ? GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
                                                    ObjectIdGetDatum(schema))
                                  : InvalidOid;
    });
}

// ST_Transform(geometry, integer) with the state that PostGIS keeps between calls (its
// cache of projections hangs on the FmgrInfo). Looked up again whenever the catalogue
// changed: PostGIS cannot be dropped and created again without csp_ext.
FmgrInfo *transform_function() {
    static FmgrInfo function;
    static uint64 valid_for_generation = 0;
    if (valid_for_generation == catalog_generation())
        return &function;

    Oid geometry_type = postgis_geometry_type();
    server_call([geometry_type] {
        char *schema = get_namespace_name(postgis_schema());
        List *name = list_make2(makeString(schema), makeString(pstrdup("st_transform")));
        Oid argument_types[] = {geometry_type, INT4OID};
        fmgr_info_cxt(LookupFuncName(name, 2, argument_types, false), &function, TopMemoryContext);
    });
    valid_for_generation = catalog_generation();
    return &function;
}

// PostGIS looks an SRID up with an operator that it finds in the search path. pg_catalog comes first in it, unless it is
// named elsewhere: then another's operator may come before.
Datum transform(FmgrInfo *function, Datum geometry) {
    if (std::strstr(namespace_search_path, "pg_catalog") == nullptr)
        return FunctionCall2(function, geometry, Int32GetDatum(srid_wgs84));
    const int level = NewGUCNestLevel();
    (void)set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
    const Datum result = FunctionCall2(function, geometry, Int32GetDatum(srid_wgs84));
    AtEOXact_GUC(true, level);
    return result;
}

Datum transform_to_wgs84(Datum geometry, int32_t srid) {
    FmgrInfo *function = transform_function();
    try {
        return server_call([&] { return transform(function, geometry); });
    } catch (const ServerError &error) {
        if (!error.concerns_data())
            throw;
        throw AbortingError(ERRCODE_INVALID_PARAMETER_VALUE,
                       "cannot transform a location from SRID " + std::to_string(srid) + " to 4326",
                       std::string("PostGIS says: ") + error.what() + ".",
                       "Give the geometry the SRID that its coordinates are in with ST_SetSRID; "
                       "spatial_ref_sys lists the known ones.");
    }
}

SerializedPoint decode(Datum value) {
    struct varlena *bytes = detoasted(value);
    SerializedPoint point;
    if (!decode_serialized_point(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), point))
        throw SqlError(ERRCODE_DATA_CORRUPTED, "cannot read the serialized form of a geometry");
    if (reinterpret_cast<Pointer>(bytes) != DatumGetPointer(value))
        pfree(bytes);
    return point;
}

void require_point(const SerializedPoint &point) {
    if (!point.is_point)
        throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "location must be a point",
                       "A location encoder has one answer for one place.",
                       "Use ST_PointOnSurface, ST_Centroid or ST_DumpPoints to get points from this geometry.");
    if (point.srid == 0)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "location has no SRID",
                       "Without a spatial reference system the coordinates are no place on the globe.",
                       "Use ST_SetSRID(geom, 4326) if the coordinates are longitude and latitude.");
}

LonLat checked_lonlat(double lon, double lat) {
    if (!std::isfinite(lon) || !std::isfinite(lat))
        throw Error(ErrorKind::invalid_coordinates, "location has a coordinate that is not finite", {},
                    "Leave such rows out, for example with WHERE ST_X(geom) BETWEEN -180 AND 180.");
    if (std::fabs(lat) > 90)
        throw Error(ErrorKind::invalid_coordinates,
                    "latitude " + std::to_string(lat) + " is beyond 90 degrees", {},
                    "Coordinates are (longitude, latitude) in degrees: ST_FlipCoordinates swaps them, "
                    "ST_SetSRID and ST_Transform bring projected coordinates to SRID 4326.");
    if (std::fabs(lon) > 180) {
        lon = std::fmod(lon, 360);
        if (std::fabs(lon) > 180)
            lon -= std::copysign(360, lon);
    }
    return {lon, lat};
}

}  // namespace

bool decode_serialized_point(const char *bytes, std::size_t size, SerializedPoint &point) {
    constexpr std::size_t header = 4;  // three bytes SRID, one byte flags
    if (size < header)
        return false;

    const auto *unsigned_bytes = reinterpret_cast<const uint8_t *>(bytes);
    uint32_t srid_bits = (uint32_t(unsigned_bytes[0]) << 16) | (uint32_t(unsigned_bytes[1]) << 8) | unsigned_bytes[2];
    // 21 bits, signed
    point.srid = static_cast<int32_t>(srid_bits << 11) >> 11;

    uint8_t flags = unsigned_bytes[3];
    std::size_t offset = header;
    if ((flags & flag_version2) && (flags & flag_extended))
        offset += 8;
    if (flags & flag_bbox)
        offset += bbox_size(flags);

    uint32_t type_and_count[2];
    if (size < offset + sizeof(type_and_count))
        return false;
    std::memcpy(type_and_count, bytes + offset, sizeof(type_and_count));
    offset += sizeof(type_and_count);

    point.is_point = type_and_count[0] == type_point;
    point.is_empty = type_and_count[1] == 0;  // of points, rings or parts, by type
    if (point.is_point && !point.is_empty) {
        double xy[2];
        if (size < offset + sizeof(xy))
            return false;
        std::memcpy(xy, bytes + offset, sizeof(xy));
        point.x = xy[0];
        point.y = xy[1];
    }
    return true;
}

LocationState read_location(Datum value, LonLat &location) {
    const SerializedPoint point = decode(value);
    if (point.is_empty)
        return LocationState::empty;
    require_point(point);
    // PostGIS would answer a NaN with a NaN.
    if (point.srid != srid_wgs84 && std::isfinite(point.x) && std::isfinite(point.y))
        return LocationState::in_another_srid;
    location = checked_lonlat(point.x, point.y);
    return LocationState::read;
}

std::optional<LonLat> location_from_datum(Datum value) {
    LonLat location;
    switch (read_location(value, location)) {
        case LocationState::empty: return std::nullopt;
        case LocationState::read: return location;
        case LocationState::in_another_srid: break;
    }
    const SerializedPoint point = decode(transform_to_wgs84(value, decode(value).srid));
    return checked_lonlat(point.x, point.y);
}

Oid postgis_geometry_type() { return postgis_type("geometry"); }

Oid postgis_geography_type() { return postgis_type("geography"); }

}  // namespace csp::server
