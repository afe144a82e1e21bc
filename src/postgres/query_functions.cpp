// SQL functions that answer from a model, a row at a time: csp_embed and its relatives.
//
// The overloads of a function share one C symbol: the model argument, where there is one,
// is the last, and PG_NARGS() tells.
#include "arrays.h"
#include "dates.h"
#include "geometry.h"
#include "guard.h"
#include "model_cache.h"
#include "model_parts.h"
#include "text_argument.h"

#include "../encoder/fusion.h"

#include <algorithm>
#include <numeric>
#include <optional>

using namespace csp;
using namespace csp::server;

namespace {

// Whether the functions of a kind are told when the observation was made: a timestamp then stands before the model.
enum class Dated { no, yes };

// The model of a call whose own arguments are `arguments`, one more naming the model.
template <Dated dated>
const Model &call_model(FunctionCallInfo fcinfo, int arguments, ModelNaming naming = ModelNaming::name) {
    arguments += dated == Dated::yes;
    const Model &model = model_of_call(fcinfo, PG_NARGS() > arguments ? arguments : -1, naming);
    if (dated == Dated::yes && !model.config().dates)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model knows no dates",
                       "It was trained without the time of the observations.",
                       "Leave the timestamp out, or train with the option observed_at.");
    return model;
}

// Where and, for a dated call, when. arguments: as in call_model.
template <Dated dated>
void embed_call(FunctionCallInfo fcinfo, int arguments, const Model &model, const LonLat &place, float *out) {
    if constexpr (dated == Dated::yes) {
        const float date = part_of_year(PG_GETARG_TIMESTAMPTZ(arguments));
        model.embed(&place.lon, &date, 1, out);
    } else {
        model.embed(&place.lon, 1, out);
    }
}

template <Dated dated>
std::vector<float> embedding_of(FunctionCallInfo fcinfo, int arguments, const Model &model, const LonLat &place) {
    std::vector<float> embedding(model.config().embedding_dim);
    embed_call<dated>(fcinfo, arguments, model, place, embedding.data());
    return embedding;
}

std::vector<float> probabilities_of(const Model &model, const std::vector<float> &embedding) {
    std::vector<float> probabilities(model.config().class_count);
    model.probabilities(embedding.data(), 1, probabilities.data());
    return probabilities;
}

std::string list_labels(const Model &model) {
    constexpr std::size_t shown = 20;
    const auto &labels = model.labels();
    std::string list = "Labels of the model: ";
    for (std::size_t i = 0; i < std::min(shown, labels.size()); ++i)
        list += (i ? ", " : "") + ("\"" + labels[i] + "\"");
    return list + (labels.size() > shown ? ", ..." : ".");
}

int class_of_label(const Model &model, const std::string &label) {
    require_class_head(model);
    int index = model.class_index(label);
    if (index < 0)
        throw SqlError(ERRCODE_UNDEFINED_OBJECT, "label \"" + label + "\" does not exist in the model",
                       list_labels(model), "View csp.classes lists the labels of every model.");
    return index;
}

// Indices of the k largest of n values, largest first; equal ones in the order of the classes.
std::vector<int> largest(const float *values, std::size_t n, int k) {
    std::vector<int> order(n);
    std::iota(order.begin(), order.end(), 0);
    k = std::min<int>(k, order.size());
    std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int a, int b) {
        return values[a] != values[b] ? values[a] > values[b] : a < b;
    });
    order.resize(k);
    return order;
}

void require_positive(int k) {
    if (k < 1)
        throw Error(ErrorKind::invalid_parameter, "number of classes must be positive, not " + std::to_string(k));
}

void return_classes(FunctionCallInfo fcinfo, const Model &model, const float *probabilities, int k) {
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
    int rank = 0;
    for (int index : largest(probabilities, model.labels().size(), k)) {
        ++rank;
        server_call([&] {
            Datum values[] = {Int32GetDatum(rank), CStringGetTextDatum(model.labels()[index].c_str()),
                              Float4GetDatum(probabilities[index])};
            bool nulls[] = {false, false, false};
            tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
        });
    }
}

// The model of a call that is not strict, as if it were: whether it is named and NULL.
template <Dated dated>
bool names_no_model(FunctionCallInfo fcinfo, int arguments) {
    arguments += dated == Dated::yes;
    return PG_NARGS() > arguments && PG_ARGISNULL(arguments);
}

// Where, in a call that is not strict: nothing for NULL, an empty point, or a dated call without a date.
template <Dated dated>
std::optional<LonLat> known_place(FunctionCallInfo fcinfo, int location, int arguments) {
    if (PG_ARGISNULL(location) || (dated == Dated::yes && PG_ARGISNULL(arguments)))
        return std::nullopt;
    return location_from_datum(PG_GETARG_DATUM(location));
}

// P(y | x) of a place, or nothing without one.
template <Dated dated>
std::vector<float> prior_of(FunctionCallInfo fcinfo, int arguments, const Model &model,
                            const std::optional<LonLat> &place) {
    if (!place)
        return {};
    return probabilities_of(model, embedding_of<dated>(fcinfo, arguments, model, *place));
}

const float *data_or_null(const std::vector<float> &values) { return values.empty() ? nullptr : values.data(); }

// P(y | I, x) of a location and features, the first two arguments of a call: false if neither is known.
template <Dated dated>
bool fuse_features(FunctionCallInfo fcinfo, int arguments, const Model *&model, std::vector<float> &probabilities) {
    const auto place = known_place<dated>(fcinfo, 0, arguments);
    if (!place && PG_ARGISNULL(1))
        return false;
    model = &call_model<dated>(fcinfo, arguments);
    require_class_head(*model);
    const std::size_t classes = model->labels().size();
    std::vector<float> image;
    if (!PG_ARGISNULL(1)) {
        require_image_classifier(*model);
        const FeatureSpan features = features_from_datum(PG_GETARG_DATUM(1), model->config().image_dim);
        image.resize(classes);
        model->image_probabilities(features.values, 1, image.data(), classes);
        require_finite_answer(image.data(), classes);
    }
    const std::vector<float> prior = prior_of<dated>(fcinfo, arguments, *model, place);
    probabilities.resize(classes);
    fuse_known(data_or_null(image), data_or_null(prior), pooling_of(model->config()), classes, probabilities.data());
    return true;
}

// csp_embed(location [, observed_at] [, model]), csp_embed_version(location [, observed_at], version) -> real[]
template <Dated dated>
Datum embed(FunctionCallInfo fcinfo, ModelNaming naming = ModelNaming::name) {
    return guard([&]() -> Datum {
        auto place = location_from_datum(PG_GETARG_DATUM(0));
        if (!place)
            PG_RETURN_NULL();
        const Model &model = call_model<dated>(fcinfo, 1, naming);
        ArrayType *embedding = make_real_array(model.config().embedding_dim);
        embed_call<dated>(fcinfo, 1, model, *place, real_array_data(embedding));
        PG_RETURN_ARRAYTYPE_P(embedding);
    });
}

// csp_similarity(location, features [, observed_at] [, model]) -> real
template <Dated dated>
Datum similarity(FunctionCallInfo fcinfo) {
    return guard([&]() -> Datum {
        auto place = location_from_datum(PG_GETARG_DATUM(0));
        if (!place)
            PG_RETURN_NULL();
        const Model &model = call_model<dated>(fcinfo, 2);
        require_image_side(model);
        FeatureSpan features = features_from_datum(PG_GETARG_DATUM(1), model.config().image_dim);
        std::vector<float> location_embedding = embedding_of<dated>(fcinfo, 2, model, *place);
        const float similarity = model.similarity(location_embedding.data(), features.values);
        require_finite_answer(&similarity, 1);
        PG_RETURN_FLOAT4(similarity);
    });
}

// csp_probabilities(location [, observed_at] [, model]) -> real[]
template <Dated dated>
Datum probabilities(FunctionCallInfo fcinfo) {
    return guard([&]() -> Datum {
        auto place = location_from_datum(PG_GETARG_DATUM(0));
        if (!place)
            PG_RETURN_NULL();
        const Model &model = call_model<dated>(fcinfo, 1);
        require_class_head(model);
        std::vector<float> probabilities = probabilities_of(model, embedding_of<dated>(fcinfo, 1, model, *place));
        ArrayType *result = make_real_array(probabilities.size());
        std::copy(probabilities.begin(), probabilities.end(), real_array_data(result));
        PG_RETURN_ARRAYTYPE_P(result);
    });
}

// csp_probability(location, label [, observed_at] [, model]) -> real
template <Dated dated>
Datum probability(FunctionCallInfo fcinfo) {
    return guard([&]() -> Datum {
        auto place = location_from_datum(PG_GETARG_DATUM(0));
        if (!place)
            PG_RETURN_NULL();
        const Model &model = call_model<dated>(fcinfo, 2);
        int index = class_of_label(model, text_argument(fcinfo, 1));
        std::vector<float> embedding = embedding_of<dated>(fcinfo, 2, model, *place);
        PG_RETURN_FLOAT4(model.probability(embedding.data(), index));
    });
}

// csp_fuse(image_probabilities, location [, observed_at] [, model]) -> real[]
template <Dated dated>
Datum fuse_image(FunctionCallInfo fcinfo) {
    return guard([&]() -> Datum {
        if (names_no_model<dated>(fcinfo, 2))
            PG_RETURN_NULL();
        const auto place = known_place<dated>(fcinfo, 1, 2);
        if (!place && PG_ARGISNULL(0))
            PG_RETURN_NULL();
        const Model &model = call_model<dated>(fcinfo, 2);
        require_class_head(model);
        const int classes = model.config().class_count;
        const float *image = PG_ARGISNULL(0) ? nullptr : probabilities_from_datum(PG_GETARG_DATUM(0), classes);
        const std::vector<float> prior = prior_of<dated>(fcinfo, 2, model, place);
        ArrayType *result = make_real_array(classes);
        fuse_known(image, data_or_null(prior), pooling_of(model.config()), classes, real_array_data(result));
        PG_RETURN_ARRAYTYPE_P(result);
    });
}

// csp_fused_probabilities(location, features [, observed_at] [, model]) -> real[]
template <Dated dated>
Datum fused_probabilities(FunctionCallInfo fcinfo) {
    return guard([&]() -> Datum {
        const Model *model = nullptr;
        std::vector<float> probabilities;
        if (names_no_model<dated>(fcinfo, 2) || !fuse_features<dated>(fcinfo, 2, model, probabilities))
            PG_RETURN_NULL();
        ArrayType *result = make_real_array(probabilities.size());
        std::copy(probabilities.begin(), probabilities.end(), real_array_data(result));
        PG_RETURN_ARRAYTYPE_P(result);
    });
}

// csp_classify(location, features [, k] [, observed_at] [, model]): `arguments` of its own, k among them or five.
template <Dated dated>
Datum classify_fused(FunctionCallInfo fcinfo, int arguments) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        if ((arguments > 2 && PG_ARGISNULL(2)) || names_no_model<dated>(fcinfo, arguments))
            PG_RETURN_NULL();
        const int k = arguments > 2 ? PG_GETARG_INT32(2) : 5;
        require_positive(k);
        const Model *model = nullptr;
        std::vector<float> probabilities;
        if (fuse_features<dated>(fcinfo, arguments, model, probabilities))
            return_classes(fcinfo, *model, probabilities.data(), k);
        PG_RETURN_NULL();
    });
}

int element_count(Datum array) {
    auto *values = server_call([array] { return DatumGetArrayTypeP(array); });
    return ArrayGetNItems(ARR_NDIM(values), ARR_DIMS(values));
}

// The k most probable classes of a call whose own arguments are `arguments`.
template <Dated dated>
Datum classify(FunctionCallInfo fcinfo, int arguments, int k) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        require_positive(k);
        auto place = location_from_datum(PG_GETARG_DATUM(0));
        if (!place)
            PG_RETURN_NULL();
        const Model &model = call_model<dated>(fcinfo, arguments);
        require_class_head(model);
        std::vector<float> probabilities =
            probabilities_of(model, embedding_of<dated>(fcinfo, arguments, model, *place));
        return_classes(fcinfo, model, probabilities.data(), k);
        PG_RETURN_NULL();
    });
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_embed);
PG_FUNCTION_INFO_V1(csp_embed_at);
PG_FUNCTION_INFO_V1(csp_embed_version);
PG_FUNCTION_INFO_V1(csp_embed_version_at);
PG_FUNCTION_INFO_V1(csp_similarity);
PG_FUNCTION_INFO_V1(csp_similarity_at);
PG_FUNCTION_INFO_V1(csp_probabilities);
PG_FUNCTION_INFO_V1(csp_probabilities_at);
PG_FUNCTION_INFO_V1(csp_probability);
PG_FUNCTION_INFO_V1(csp_probability_at);
PG_FUNCTION_INFO_V1(csp_fuse);
PG_FUNCTION_INFO_V1(csp_fuse_at);
PG_FUNCTION_INFO_V1(csp_classify);
PG_FUNCTION_INFO_V1(csp_classify_five);
PG_FUNCTION_INFO_V1(csp_classify_at);
PG_FUNCTION_INFO_V1(csp_classify_probabilities);
PG_FUNCTION_INFO_V1(csp_embed_image);
PG_FUNCTION_INFO_V1(csp_image_probabilities);
PG_FUNCTION_INFO_V1(csp_fused_probabilities);
PG_FUNCTION_INFO_V1(csp_fused_probabilities_at);
PG_FUNCTION_INFO_V1(csp_classify_fused);
PG_FUNCTION_INFO_V1(csp_classify_fused_five);
PG_FUNCTION_INFO_V1(csp_classify_fused_at);
PG_FUNCTION_INFO_V1(csp_fuse_probabilities);

Datum csp_embed(PG_FUNCTION_ARGS) {
    return embed<Dated::no>(fcinfo);
}

Datum csp_embed_at(PG_FUNCTION_ARGS) {
    return embed<Dated::yes>(fcinfo);
}

Datum csp_embed_version(PG_FUNCTION_ARGS) {
    return embed<Dated::no>(fcinfo, ModelNaming::version);
}

Datum csp_embed_version_at(PG_FUNCTION_ARGS) {
    return embed<Dated::yes>(fcinfo, ModelNaming::version);
}

Datum csp_similarity(PG_FUNCTION_ARGS) {
    return similarity<Dated::no>(fcinfo);
}

Datum csp_similarity_at(PG_FUNCTION_ARGS) {
    return similarity<Dated::yes>(fcinfo);
}

Datum csp_probabilities(PG_FUNCTION_ARGS) {
    return probabilities<Dated::no>(fcinfo);
}

Datum csp_probabilities_at(PG_FUNCTION_ARGS) {
    return probabilities<Dated::yes>(fcinfo);
}

Datum csp_probability(PG_FUNCTION_ARGS) {
    return probability<Dated::no>(fcinfo);
}

Datum csp_probability_at(PG_FUNCTION_ARGS) {
    return probability<Dated::yes>(fcinfo);
}

Datum csp_fuse(PG_FUNCTION_ARGS) {
    return fuse_image<Dated::no>(fcinfo);
}

Datum csp_fuse_at(PG_FUNCTION_ARGS) {
    return fuse_image<Dated::yes>(fcinfo);
}

// csp_classify(location, k [, model]) -> setof (rank, label, probability)
Datum csp_classify(PG_FUNCTION_ARGS) {
    return classify<Dated::no>(fcinfo, 2, PG_GETARG_INT32(1));
}

// csp_classify(location [, model]): a symbol of its own, because the number of arguments does not tell k from a model.
Datum csp_classify_five(PG_FUNCTION_ARGS) {
    return classify<Dated::no>(fcinfo, 1, 5);
}

// csp_classify(location, k, observed_at [, model])
Datum csp_classify_at(PG_FUNCTION_ARGS) {
    return classify<Dated::yes>(fcinfo, 2, PG_GETARG_INT32(1));
}

// csp.classify_probabilities(probabilities, k [, model]) -> setof (rank, label, probability)
Datum csp_classify_probabilities(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        const int k = PG_GETARG_INT32(1);
        require_positive(k);
        const Model &model = call_model<Dated::no>(fcinfo, 2);
        require_class_head(model);
        return_classes(fcinfo, model, probabilities_from_datum(PG_GETARG_DATUM(0), model.config().class_count), k);
        PG_RETURN_NULL();
    });
}

// csp_embed_image(features [, model]) -> real[]
Datum csp_embed_image(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const Model &model = call_model<Dated::no>(fcinfo, 1);
        require_image_side(model);
        FeatureSpan features = features_from_datum(PG_GETARG_DATUM(0), model.config().image_dim);
        ArrayType *embedding = make_real_array(model.config().embedding_dim);
        model.embed_image(features.values, 1, real_array_data(embedding));
        require_finite_answer(real_array_data(embedding), model.config().embedding_dim);
        PG_RETURN_ARRAYTYPE_P(embedding);
    });
}

// csp_image_probabilities(features [, model]) -> real[]
Datum csp_image_probabilities(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const Model &model = call_model<Dated::no>(fcinfo, 1);
        require_class_head(model);
        require_image_classifier(model);
        FeatureSpan features = features_from_datum(PG_GETARG_DATUM(0), model.config().image_dim);
        const int classes = model.config().class_count;
        ArrayType *result = make_real_array(classes);
        model.image_probabilities(features.values, 1, real_array_data(result), classes);
        require_finite_answer(real_array_data(result), classes);
        PG_RETURN_ARRAYTYPE_P(result);
    });
}

Datum csp_fused_probabilities(PG_FUNCTION_ARGS) {
    return fused_probabilities<Dated::no>(fcinfo);
}

Datum csp_fused_probabilities_at(PG_FUNCTION_ARGS) {
    return fused_probabilities<Dated::yes>(fcinfo);
}

Datum csp_classify_fused(PG_FUNCTION_ARGS) {
    return classify_fused<Dated::no>(fcinfo, 3);
}

Datum csp_classify_fused_five(PG_FUNCTION_ARGS) {
    return classify_fused<Dated::no>(fcinfo, 2);
}

Datum csp_classify_fused_at(PG_FUNCTION_ARGS) {
    return classify_fused<Dated::yes>(fcinfo, 3);
}

// csp_fuse(image_probabilities, place_probabilities, prior_strength) -> real[]
Datum csp_fuse_probabilities(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const double strength = PG_GETARG_FLOAT8(2);
        if (!(strength >= 0 && strength <= 1000))
            throw Error(ErrorKind::invalid_parameter, "prior_strength is out of range",
                        {}, "Choose a value from 0, which leaves the place out, to 1000; 1 is the product rule.");
        const int classes = element_count(PG_GETARG_DATUM(0)), place_classes = element_count(PG_GETARG_DATUM(1));
        if (classes != place_classes)
            throw SqlError(ERRCODE_DATA_EXCEPTION,
                           "probabilities of different numbers of classes: " + std::to_string(classes) + " of the image and " +
                               std::to_string(place_classes) + " of the place",
                           {}, "Both must be of the same classes in the same order.");
        const float *image = probabilities_from_datum(PG_GETARG_DATUM(0), classes);
        const float *place = probabilities_from_datum(PG_GETARG_DATUM(1), classes);
        ArrayType *result = make_real_array(classes);
        fuse(image, place, {strength, 1}, classes, real_array_data(result));
        PG_RETURN_ARRAYTYPE_P(result);
    });
}

}  // extern "C"
