// What a request for a tile asks for: the query that tile servers hand on, which anybody may have written.
#include "catalog.h"
#include "guard.h"
#include "options_argument.h"
#include "row_result.h"

extern "C" {
#include "utils/jsonb.h"
}

using namespace csp;
using namespace csp::server;

namespace {

constexpr int finest_level = 30;  // tiles of 4 cm
constexpr int most_cells = 64;

struct TileRequest {
    std::optional<std::string> model, label, mask;
    std::string kind;
    int cells = 16;
    bool outside = false;
    double threshold = 0;
};

// The members of a query by name. Tile servers make texts of all values in a URL; empty ones and null are not given.
class TileQuery {
public:
    TileQuery(FunctionCallInfo fcinfo, int argument) {
        if (PG_ARGISNULL(argument))
            return;
        Jsonb *jsonb = server_call([&] { return PG_GETARG_JSONB_P(argument); });
        if (JB_ROOT_IS_SCALAR(jsonb) && is_null(jsonb))
            return;
        if (!JB_ROOT_IS_OBJECT(jsonb))
            throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "query of a tile must be a JSON object", {},
                           "For example '{\"model\": \"places\", \"label\": \"Cf\"}'.");
        values_ = options_argument(fcinfo, argument);
    }

    std::optional<std::string> text(const char *name) const {
        const OptionValue *value = find(name);
        if (value == nullptr || value->text.empty())
            return std::nullopt;
        return value->text;
    }

    double number(const char *name, double otherwise, double least, double most) const {
        const std::optional<std::string> value = text(name);
        if (!value)
            return otherwise;
        char *end;
        const double number = std::strtod(value->c_str(), &end);
        if (*end != '\0' || value->find_first_of("xX") != std::string::npos || !(number >= least && number <= most))
            fail(name, *value, "a number of " + std::to_string(int(least)) + " to " + std::to_string(int(most)));
        return number;
    }

    bool boolean(const char *name) const {
        const std::optional<std::string> value = text(name);
        bool result = false;
        if (value && !server_call([&] { return parse_bool(value->c_str(), &result); }))
            fail(name, *value, "true or false");
        return result;
    }

    [[noreturn]] static void fail(const char *name, const std::string &value, const std::string &wanted) {
        constexpr std::size_t most_shown = 60;
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, std::string(name) + " of a tile must be " + wanted + ", not \"" +
                                                            value.substr(0, most_shown) + "\"");
    }

private:
    static bool is_null(Jsonb *jsonb) {
        JsonbValue value;
        return server_call([&] { return JsonbExtractScalar(&jsonb->root, &value); }) && value.type == jbvNull;
    }

    const OptionValue *find(const char *name) const {
        for (const OptionValue &value : values_)
            if (value.name == name)
                return &value;
        return nullptr;
    }

    std::vector<OptionValue> values_;
};

TileRequest read_request(const TileQuery &query) {
    TileRequest request;
    request.model = query.text("model");
    request.label = query.text("label");
    request.mask = query.text("mask");
    request.kind = query.text("kind").value_or(request.label ? "prior" : "class");
    if (request.kind != "prior" && request.kind != "class" && request.kind != "embedding")
        TileQuery::fail("kind", request.kind, "prior, class or embedding");
    if (request.kind == "prior" && !request.label)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "a tile of kind prior needs a label", {},
                       "View csp.classes lists the labels of every model. A tile of kind class has the most probable one.");
    if (request.kind != "prior")
        request.label.reset();
    const double cells = query.number("cells", request.cells, 1, most_cells);
    if (cells != std::floor(cells))
        TileQuery::fail("cells", *query.text("cells"), "a whole number");
    request.cells = int(cells);
    request.outside = query.boolean("outside");
    request.threshold = query.number("threshold", request.threshold, 0, 1);
    return request;
}

// Whether the numbers are those of a tile. Anything else is a place without anything on it, as tile servers see it.
bool is_on_map(FunctionCallInfo fcinfo) {
    for (int argument = 0; argument < 3; ++argument)
        if (PG_ARGISNULL(argument))
            return false;
    const int level = PG_GETARG_INT32(0), column = PG_GETARG_INT32(1), row = PG_GETARG_INT32(2);
    if (level < 0 || level > finest_level)
        return false;
    const int tiles = 1 << level;
    return column >= 0 && column < tiles && row >= 0 && row < tiles;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_tile_request);

// csp.tile_request(level, tile_column, tile_row, query) -> (is_on_map, version, model, kind, is_prior, is_class, label, cells, mask,
// outside, threshold)
Datum csp_tile_request(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const TileRequest request = read_request(TileQuery(fcinfo, 3));
        const int64 version = resolve_model(request.model ? request.model->c_str() : nullptr);
        const bool on_map = is_on_map(fcinfo);
        return server_call([&] {
            auto text_or_null = [](const std::optional<std::string> &value) {
                return value ? CStringGetTextDatum(value->c_str()) : Datum(0);
            };
            Datum values[] = {BoolGetDatum(on_map), Int64GetDatum(version), text_or_null(request.model),
                              CStringGetTextDatum(request.kind.c_str()), BoolGetDatum(request.kind == "prior"),
                              BoolGetDatum(request.kind == "class"), text_or_null(request.label), Int32GetDatum(request.cells),
                              text_or_null(request.mask), BoolGetDatum(request.outside), Float8GetDatum(request.threshold)};
            bool nulls[] = {false, false, !request.model, false, false, false, !request.label, false, !request.mask, false, false};
            return make_row(fcinfo, values, nulls);
        });
    });
}

}  // extern "C"
