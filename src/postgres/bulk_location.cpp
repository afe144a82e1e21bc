// csp.valid_location and csp_location_error: whether csp_embed can answer for a location, without an error that would end
// the work on a whole table.
#include "bulk_transaction.h"
#include "geometry.h"

using namespace csp;
using namespace csp::server;

namespace {

constexpr int32_t srid_wgs84 = 4326;
constexpr uint8_t flag_geodetic = 0x08;

// A 2D point of SRID 4326 as PostGIS serializes it (gserialized, version 1, which every PostGIS reads).
struct SerializedWgs84 {
    char varlena[VARHDRSZ];
    uint8_t srid[3];
    uint8_t flags;
    uint32_t type;
    uint32_t point_count;
    double lon, lat;
};
static_assert(sizeof(SerializedWgs84) == 32, "a serialized point has no holes");

struct LocationCheck {
    std::optional<LonLat> place;
    std::string error;
};

LocationCheck read_location(Datum location) {
    try {
        return {location_from_datum(location), {}};
    } catch (const Error &error) {
        return {std::nullopt, error.message()};
    }
}

// PostGIS may raise an error in a transformation, of which only a subtransaction rids the server.
LocationCheck transform_location(Datum location) {
    LocationCheck check;
    try {
        in_subtransaction([&] { check.place = location_from_datum(location); });
    } catch (const Error &error) {
        check = {std::nullopt, error.message()};
    }
    return check;
}

SerializedPoint decode(Datum location) {
    struct varlena *bytes = server_call([location] { return PG_DETOAST_DATUM_PACKED(location); });
    SerializedPoint point;
    if (!decode_serialized_point(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), point))
        throw SqlError(ERRCODE_DATA_CORRUPTED, "cannot read the serialized form of a geometry");
    return point;
}

bool must_be_transformed(const SerializedPoint &point) {
    return point.is_point && !point.is_empty && point.srid != 0 && point.srid != srid_wgs84;
}

Datum make_point(const LonLat &place, bool geodetic) {
    auto *point = static_cast<SerializedWgs84 *>(server_call([] { return palloc0(sizeof(SerializedWgs84)); }));
    SET_VARSIZE(point, sizeof(SerializedWgs84));
    point->srid[1] = srid_wgs84 >> 8;
    point->srid[2] = srid_wgs84 & 0xff;
    point->flags = geodetic ? flag_geodetic : 0;
    point->type = 1;
    point->point_count = 1;
    point->lon = place.lon;
    point->lat = place.lat;
    return PointerGetDatum(point);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_valid_location);
PG_FUNCTION_INFO_V1(csp_location_error);

// csp.valid_location(location) -> the location, in SRID 4326, or NULL
Datum csp_valid_location(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        Datum location = PG_GETARG_DATUM(0);
        if (!must_be_transformed(decode(location))) {
            if (!read_location(location).place)
                PG_RETURN_NULL();
            PG_RETURN_DATUM(location);
        }
        std::optional<LonLat> place = transform_location(location).place;
        if (!place)
            PG_RETURN_NULL();
        bool geodetic = get_fn_expr_rettype(fcinfo->flinfo) == postgis_geography_type();
        PG_RETURN_DATUM(make_point(*place, geodetic));
    });
}

// csp_location_error(location) -> text
Datum csp_location_error(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        Datum location = PG_GETARG_DATUM(0);
        LocationCheck check = must_be_transformed(decode(location)) ? transform_location(location) : read_location(location);
        if (check.error.empty())
            PG_RETURN_NULL();
        PG_RETURN_DATUM(server_call([&] { return CStringGetTextDatum(check.error.c_str()); }));
    });
}

}  // extern "C"
