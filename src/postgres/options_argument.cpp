// From jsonb to option values.
#include "options_argument.h"

#include "guard.h"

extern "C" {
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/numeric.h"
}

namespace csp::server {

namespace {

struct JsonScalar {
    OptionKind kind;
    const char *text;
};

JsonScalar json_scalar(const JsonbValue &value) {
    return server_call([&]() -> JsonScalar {
        switch (value.type) {
            case jbvString: return {OptionKind::text, pnstrdup(value.val.string.val, value.val.string.len)};
            case jbvBool: return {OptionKind::boolean, value.val.boolean ? "true" : "false"};
            case jbvNumeric:
                return {OptionKind::number,
                        DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)))};
            case jbvBinary:  // a list, as the published map_range is one
                return {OptionKind::text, JsonbToCString(nullptr, value.val.binary.data, value.val.binary.len)};
            default: return {OptionKind::other, ""};
        }
    });
}

}  // namespace

std::vector<OptionValue> options_argument(FunctionCallInfo fcinfo, int argument, const char *hint) {
    if (PG_ARGISNULL(argument))
        return {};
    Jsonb *jsonb = server_call([&] { return PG_GETARG_JSONB_P(argument); });
    if (!JB_ROOT_IS_OBJECT(jsonb))
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "options must be a JSON object", {}, hint);
    JsonbIterator *iterator = server_call([&] { return JsonbIteratorInit(&jsonb->root); });
    JsonbValue value;
    std::string name;
    std::vector<OptionValue> values;
    for (;;) {
        JsonbIteratorToken token = server_call([&] { return JsonbIteratorNext(&iterator, &value, true); });
        if (token == WJB_DONE)
            break;
        if (token == WJB_KEY)
            name.assign(value.val.string.val, value.val.string.len);
        else if (token == WJB_VALUE) {
            JsonScalar scalar = json_scalar(value);
            values.push_back({name, scalar.kind, scalar.text});
        }
    }
    return values;
}

}  // namespace csp::server
