// The principal components of embeddings as colours: an aggregate that finds them, and the colour of an embedding by them.
#include "arrays.h"
#include "guard.h"
#include "model_cache.h"
#include "text_argument.h"

#include "../encoder/principal_components.h"

#include <algorithm>

using namespace csp;
using namespace csp::server;

namespace {

constexpr int channels = 3;

// What the aggregate has gathered; lives in its memory context.
struct Gathered {
    float *rows;
    int64 count, capacity;
    int dim;
};

MemoryContext aggregate_context(FunctionCallInfo fcinfo) {
    MemoryContext context = nullptr;
    if (!server_call([&] { return AggCheckCallContext(fcinfo, &context) != 0; }))
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "this function can only be called as part of an aggregate");
    return context;
}

void make_room(Gathered &gathered, MemoryContext context) {
    if (gathered.count < gathered.capacity)
        return;
    const int64 capacity = std::max<int64>(256, 2 * gathered.capacity);
    const Size size = Size(capacity) * std::max(gathered.dim, 1) * sizeof(float);
    gathered.rows = static_cast<float *>(server_call([&] {
        return gathered.rows == nullptr ? MemoryContextAllocHuge(context, size) : repalloc_huge(gathered.rows, size);
    }));
    gathered.capacity = capacity;
}

// real[] of mean (D), three axes (D each) and the deviations along them: what csp.embedding_colour takes.
ArrayType *basis_array(const PrincipalComponents &components) {
    const std::size_t dim = components.dim;
    ArrayType *array = make_real_array(int((channels + 1) * dim + channels));
    float *out = std::copy(components.mean.begin(), components.mean.end(), real_array_data(array));
    std::fill(out, out + channels * dim + channels, 0.0f);
    for (std::size_t c = 0; c < components.axes.size(); ++c) {
        std::copy(components.axes[c].begin(), components.axes[c].end(), out + c * dim);
        out[channels * dim + c] = float(components.deviations[c]);
    }
    return array;
}

// Places spread evenly over the globe, on a Fibonacci spiral: n pairs of longitude and latitude.
std::vector<double> spread_places(int n) {
    const double turn = 180 * (3 - std::sqrt(5.0));
    std::vector<double> lonlat;
    for (int i = 0; i < n; ++i) {
        lonlat.push_back(std::remainder(turn * i, 360));
        lonlat.push_back(std::asin((2 * i + 1.0) / n - 1) * 180 / std::acos(-1));
    }
    return lonlat;
}

PrincipalComponents global_components(const Model &model) {
    constexpr int places = 1024;
    const std::vector<double> lonlat = spread_places(places);
    std::vector<float> embeddings(std::size_t(places) * model.config().embedding_dim);
    model.embed(lonlat.data(), places, embeddings.data());
    return principal_components(embeddings.data(), places, model.config().embedding_dim, channels);
}

// Of a model that this session has loaded: computed once, forgotten with the model.
const PrincipalComponents &kept_global_components(const std::shared_ptr<const Model> &model) {
    struct Kept {
        std::weak_ptr<const Model> model;
        PrincipalComponents components;
    };
    static std::vector<Kept> all;
    all.erase(std::remove_if(all.begin(), all.end(), [](const Kept &kept) { return kept.model.expired(); }), all.end());
    for (const Kept &kept : all)
        if (kept.model.lock() == model)
            return kept.components;
    all.push_back({model, global_components(*model)});
    return all.back().components;
}

// 0 to 255: two standard deviations to either side of the mean.
int32 channel(double score, double deviation) {
    if (!(deviation > 0))
        return 128;
    return int32(std::lround(255 * std::clamp(0.5 + score / (4 * deviation), 0.0, 1.0)));
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_principal_components_transition);
PG_FUNCTION_INFO_V1(csp_principal_components_final);
PG_FUNCTION_INFO_V1(csp_embedding_basis);
PG_FUNCTION_INFO_V1(csp_embedding_colour);

Datum csp_principal_components_transition(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        MemoryContext context = aggregate_context(fcinfo);
        auto *gathered = PG_ARGISNULL(0) ? static_cast<Gathered *>(server_call([context] { return MemoryContextAllocZero(context, sizeof(Gathered)); }))
                                         : reinterpret_cast<Gathered *>(PG_GETARG_POINTER(0));
        if (!PG_ARGISNULL(1)) {
            const FeatureSpan embedding = features_from_datum(PG_GETARG_DATUM(1), gathered->count > 0 ? gathered->dim : -1);
            gathered->dim = embedding.length;
            make_room(*gathered, context);
            std::copy(embedding.values, embedding.values + embedding.length, gathered->rows + gathered->count++ * gathered->dim);
        }
        PG_RETURN_POINTER(gathered);
    });
}

Datum csp_principal_components_final(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        aggregate_context(fcinfo);
        auto *gathered = PG_ARGISNULL(0) ? nullptr : reinterpret_cast<Gathered *>(PG_GETARG_POINTER(0));
        if (gathered == nullptr || gathered->count == 0)
            PG_RETURN_NULL();
        PG_RETURN_ARRAYTYPE_P(basis_array(principal_components(gathered->rows, gathered->count, gathered->dim, channels)));
    });
}

// csp.embedding_basis(model)
Datum csp_embedding_basis(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const std::string name = text_or_empty(fcinfo, 0);
        const std::shared_ptr<const Model> model = find_model(PG_ARGISNULL(0) ? nullptr : name.c_str());
        PG_RETURN_ARRAYTYPE_P(basis_array(kept_global_components(model)));
    });
}

// csp.embedding_colour(embedding, basis) -> {red, green, blue}
Datum csp_embedding_colour(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        const FeatureSpan embedding = vector_from_datum(PG_GETARG_DATUM(0));
        const FeatureSpan basis = vector_from_datum(PG_GETARG_DATUM(1));
        const int dim = embedding.length;
        if (basis.length != (channels + 1) * dim + channels)
            throw SqlError(ERRCODE_DATA_EXCEPTION, "the basis of colours is of embeddings of another length", {},
                           "Take both from one version of a model.");
        const float *mean = basis.values, *axes = mean + dim, *deviations = axes + channels * dim;
        Datum colour[channels];
        for (int c = 0; c < channels; ++c) {
            double score = 0;
            for (int k = 0; k < dim; ++k)
                score += (double(embedding.values[k]) - mean[k]) * axes[c * dim + k];
            colour[c] = Int32GetDatum(channel(score, deviations[c]));
        }
        return server_call([&] {
            return PointerGetDatum(construct_array(colour, channels, INT4OID, sizeof(int32), true, TYPALIGN_INT));
        });
    });
}

}  // extern "C"
