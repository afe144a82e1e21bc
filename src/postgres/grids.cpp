// Cells of a grid over an area, and what the classes of a place come to: behind csp_prior_grid and csp_class_grid.
#include "arrays.h"
#include "guard.h"
#include "map_settings.h"
#include "model_cache.h"
#include "model_parts.h"
#include "row_result.h"
#include "text_argument.h"

#include <algorithm>

using namespace csp;
using namespace csp::server;

namespace csp::server {

int csp_max_cells = 10'000'000;

}  // namespace csp::server

namespace {

constexpr double root3 = 1.7320508075688772;
constexpr int polygon_dimension = 2;

struct Range {
    double first, last;
    double count() const { return last - first + 1; }
};

struct Box {
    double west, south, east, north;
};

enum class CellShape { square, hexagon };

CellShape parse_shape(const std::string &shape) {
    if (shape == "square")
        return CellShape::square;
    if (shape == "hexagon")
        return CellShape::hexagon;
    throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "invalid shape of cells: \"" + shape + "\"", {}, "Use square or hexagon.");
}

// Indices of the intervals [k size, (k + 1) size] that [low, high] covers a part of; an edge that meets one by rounding does not
// count.
Range intervals(double low, double high, double size) {
    constexpr double slack = 1e-9;
    const double first = std::floor(low / size + slack);
    return {first, std::max(first, std::ceil(high / size - slack) - 1)};
}

// Of hexagons as ST_HexagonGrid has them: their columns are 1.5 sizes apart, and each is 2 wide; odd ones stand half a height higher.
// Those that only the box of all of them meets are among them.
void hexagon_ranges(const Box &box, double size, Range &i, Range &j) {
    i = {std::floor(box.west / (1.5 * size) - 0.67), std::ceil(box.east / (1.5 * size) + 0.67)};
    j = {std::floor(box.south / (root3 * size) - 1), std::ceil(box.north / (root3 * size) + 0.5)};
}

void check_bounds(FunctionCallInfo fcinfo) {
    for (int argument = 0; argument < 4; ++argument)
        if (PG_ARGISNULL(argument))
            throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "bounds must not be empty", {},
                           "Give a polygon, for example ST_MakeEnvelope(5, 45, 11, 48, 4326).");
    if (PG_GETARG_INT32(4) == 0)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "bounds have no SRID",
                       "Without a spatial reference system their coordinates are no places on the globe.",
                       "Use ST_SetSRID(bounds, 4326) if the coordinates are longitude and latitude.");
    if (PG_GETARG_INT32(5) < polygon_dimension)
        throw SqlError(ERRCODE_WRONG_OBJECT_TYPE, "bounds must be a polygon", "Points and lines have no area to fill.",
                       "Use ST_Envelope or ST_Buffer to get a polygon from this geometry.");
}

double checked_cell_size(double size) {
    if (!std::isfinite(size) || size <= 0)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "cell size must be a positive number", {},
                       "It is in the unit of the bounds' spatial reference system: degrees in SRID 4326.");
    return size;
}

void check_count(const Range &i, const Range &j) {
    const double cells = i.count() * j.count();
    if (!(cells <= csp_max_cells))
        throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                       "the grid has more than " + std::to_string(csp_max_cells) + " cells",
                       std::isfinite(cells) && cells < 1e15 ? "It would have " + std::to_string(int64(cells)) + "." : std::string(),
                       "Use larger cells or smaller bounds, or raise csp.max_cells.");
    for (double index : {i.first, i.last, j.first, j.last})
        if (std::fabs(index) >= 2e9)
            throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED, "cells of this size are too small so far from the origin", {},
                           "Use larger cells, or bounds in a spatial reference system whose origin is nearer.");
}

// In nats, of what the numbers are after scaling to a sum of 1.
float entropy(const float *probabilities, int n) {
    double sum = 0, weighted = 0;
    for (int i = 0; i < n; ++i) {
        sum += probabilities[i];
        if (probabilities[i] > 0)
            weighted += probabilities[i] * std::log(double(probabilities[i]));
    }
    return sum > 0 ? float(std::max(0.0, std::log(sum) - weighted / sum)) : 0.0f;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_grid_extent);
PG_FUNCTION_INFO_V1(csp_indices);
PG_FUNCTION_INFO_V1(csp_class_summary);

// csp.grid_extent(west, south, east, north, srid, dimension, cell_size, shape) -> (first_i, last_i, first_j, last_j)
Datum csp_grid_extent(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_ARGISNULL(6) || PG_ARGISNULL(7) || PG_ARGISNULL(5))
            PG_RETURN_NULL();
        const double size = checked_cell_size(PG_GETARG_FLOAT8(6));
        const CellShape shape = parse_shape(text_argument(fcinfo, 7));
        check_bounds(fcinfo);
        const Box box{PG_GETARG_FLOAT8(0), PG_GETARG_FLOAT8(1), PG_GETARG_FLOAT8(2), PG_GETARG_FLOAT8(3)};
        Range i = intervals(box.west, box.east, size), j = intervals(box.south, box.north, size);
        if (shape == CellShape::hexagon)
            hexagon_ranges(box, size, i, j);
        check_count(i, j);
        Datum values[] = {Int32GetDatum(int32(i.first)), Int32GetDatum(int32(i.last)), Int32GetDatum(int32(j.first)),
                          Int32GetDatum(int32(j.last))};
        bool nulls[] = {false, false, false, false};
        return server_call([&] { return make_row(fcinfo, values, nulls); });
    });
}

// csp.indices(first, last) -> setof int
Datum csp_indices(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC); });
        auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
        const int32 last = PG_GETARG_INT32(1);
        for (int64 index = PG_GETARG_INT32(0); index <= last; ++index) {
            check_for_interrupts();
            server_call([&] {
                Datum value = Int32GetDatum(int32(index));
                bool is_null = false;
                tuplestore_putvalues(result->setResult, result->setDesc, &value, &is_null);
            });
        }
        PG_RETURN_NULL();
    });
}

// csp.class_summary(probabilities, model) -> (label, probability, entropy)
Datum csp_class_summary(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_ARGISNULL(0))
            PG_RETURN_NULL();
        const Model &model = model_of_call(fcinfo, PG_ARGISNULL(1) ? -1 : 1);
        require_class_head(model);
        const int n = model.config().class_count;
        const float *probabilities = probabilities_from_datum(PG_GETARG_DATUM(0), n);
        const auto best = std::max_element(probabilities, probabilities + n) - probabilities;
        const char *label = model.labels()[best].c_str();
        Datum values[] = {server_call([label] { return CStringGetTextDatum(label); }), Float4GetDatum(probabilities[best]),
                          Float4GetDatum(entropy(probabilities, n))};
        bool nulls[] = {false, false, false};
        return server_call([&] { return make_row(fcinfo, values, nulls); });
    });
}

}  // extern "C"
