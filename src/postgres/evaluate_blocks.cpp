// csp_spatial_block and csp_spatial_fold: which part of the globe a place belongs to.
#include "geometry.h"
#include "guard.h"
#include "text_argument.h"

#include "../training/spatial_blocks.h"

using namespace csp;
using namespace csp::server;

namespace {

// The block of the location in argument 0, by the size in argument 1 and the shape; nothing for an empty point.
std::optional<int64_t> block_of_call(FunctionCallInfo fcinfo, int shape) {
    const SpatialBlocks blocks(block_shape_from_string(text_argument(fcinfo, shape)), PG_GETARG_FLOAT8(1));
    const auto place = location_from_datum(PG_GETARG_DATUM(0));
    return place ? std::optional(blocks.block(place->lon, place->lat)) : std::nullopt;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_spatial_block);
PG_FUNCTION_INFO_V1(csp_spatial_fold);

// csp_spatial_block(location, size, shape) -> bigint
Datum csp_spatial_block(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const auto block = block_of_call(fcinfo, 2);
        if (!block)
            PG_RETURN_NULL();
        PG_RETURN_INT64(*block);
    });
}

// csp_spatial_fold(location, size, folds, seed, shape) -> integer
Datum csp_spatial_fold(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const int folds = PG_GETARG_INT32(2);
        if (folds < 1)
            throw Error(ErrorKind::invalid_parameter, "number of folds must be positive, not " + std::to_string(folds));
        const auto block = block_of_call(fcinfo, 4);
        if (!block)
            PG_RETURN_NULL();
        PG_RETURN_INT32(fold_of_block(*block, folds, PG_GETARG_INT64(3)));
    });
}

}  // extern "C"
