// Locations from PostGIS values: an own decoder of the serialized point.
#pragma once

#include "pg.h"

namespace csp::server {

// A location in degrees, WGS 84; longitude within [-180, 180].
struct LonLat {
    double lon;
    double lat;
};

// The location of a PostGIS geometry or geography; nothing for an empty one. SRID 4326 is
// decoded in place, any other known SRID is transformed by PostGIS.
//
// Errors: wrong_object_type for anything but a point, invalid_parameter_value for SRID 0 or
// one that PostGIS cannot transform, numeric_value_out_of_range for a coordinate that is
// not finite or a latitude beyond 90 degrees.
std::optional<LonLat> location_from_datum(Datum value);

// The same as far as it goes without PostGIS, whose transformation may raise errors of the server.
enum class LocationState { empty, read, in_another_srid };
LocationState read_location(Datum value, LonLat &location);

// What the first bytes of a serialized geometry say (gserialized of PostGIS 2.2 and later,
// versions 1 and 2). Used by location_from_datum; separate so that it can be fuzzed.
struct SerializedPoint {
    bool is_point = false;
    bool is_empty = false;
    int32_t srid = 0;
    double x = 0;
    double y = 0;
};

// bytes: the value behind its varlena header. False if they are no serialized geometry.
bool decode_serialized_point(const char *bytes, std::size_t size, SerializedPoint &point);

// Type OIDs of PostGIS; InvalidOid where PostGIS is not installed.
Oid postgis_geometry_type();
Oid postgis_geography_type();

}  // namespace csp::server
