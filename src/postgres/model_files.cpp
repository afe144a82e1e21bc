// Models as files: csp_import and csp_export.
#include "catalog.h"
#include "model_publication.h"
#include "options_argument.h"
#include "spi.h"
#include "training_run.h"

#include "../encoder/kernel_features.h"
#include "../encoder/model.h"
#include "../encoder/published_model.h"

extern "C" {
#include "access/xlog.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
}

#include <algorithm>

using namespace csp;
using namespace csp::server;

namespace {

enum ImportArgument { arg_model, arg_file, arg_options };

// ---- options of an import ----------------------------------------------------------------

std::vector<std::string> labels_from_json(const std::string &json) {
    const auto malformed = [] {
        return SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "option \"labels\" must be a list of texts", {},
                        "Give one label for each class, for example '{\"labels\": [\"forest\", \"steppe\"]}'.");
    };
    if (json.empty() || json[0] != '[')
        throw malformed();
    Datum datum = server_call([&] { return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.c_str())); });
    Jsonb *list = server_call([&] { return DatumGetJsonbP(datum); });
    JsonbIterator *iterator = server_call([&] { return JsonbIteratorInit(&list->root); });
    std::vector<std::string> labels;
    JsonbValue value;
    for (;;) {
        JsonbIteratorToken token = server_call([&] { return JsonbIteratorNext(&iterator, &value, true); });
        if (token == WJB_DONE)
            return labels;
        if (token != WJB_ELEM)
            continue;
        if (value.type != jbvString)
            throw malformed();
        labels.emplace_back(value.val.string.val, value.val.string.len);
    }
}

// Without labels, the numbers of the classes from 0.
std::vector<std::string> numbered_labels(int count) {
    std::vector<std::string> labels;
    for (int i = 0; i < count; ++i)
        labels.push_back(std::to_string(i));
    return labels;
}

// What only training needs is refused: it would change nothing. A configuration names all else; what is about fusion, where it
// is not the default.
void require_architecture(const OptionValue &option) {
    ModelConfig config;
    config.place_temperature = config.image_temperature = config.prior_strength = config.fusion_temperature = 2;
    if (config_to_metadata(config).count(describe_option(option.name).name) == 0)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "option \"" + option.name + "\" has no effect on an import",
                       "It is an option of training.", "Options of an import are those of the architecture, labels and deploy.");
}

// Takes the option deploy out of those of the architecture.
bool take_deploy(std::vector<OptionValue> &values) {
    TrainingOptions options;
    const auto found = std::find_if(values.begin(), values.end(), [](auto &value) { return value.name == "deploy"; });
    if (found != values.end()) {
        set_options(options, {*found});
        values.erase(found);
    }
    return options.deploy;
}

void apply_options(ModelContents &contents, std::vector<OptionValue> values) {
    const auto labels = std::find_if(values.begin(), values.end(), [](auto &value) { return value.name == "labels"; });
    if (labels != values.end()) {
        contents.labels = labels_from_json(labels->text);
        values.erase(labels);
    }
    for (const OptionValue &value : values)
        require_architecture(value);
    TrainingOptions options;
    options.model = contents.config;
    set_options(options, values);
    contents.config = options.model;
    if (contents.labels.empty())
        contents.labels = numbered_labels(contents.config.class_count);
    if (contents.labels.size() != std::size_t(contents.config.class_count))
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "number of labels does not match the model",
                       "There are " + std::to_string(contents.labels.size()) + " labels, and the model has " +
                           std::to_string(contents.config.class_count) + " classes.",
                       "Give one label for each class in the option labels.");
    std::vector<std::string> sorted = contents.labels;
    std::sort(sorted.begin(), sorted.end());
    if (auto twin = std::adjacent_find(sorted.begin(), sorted.end()); twin != sorted.end())
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "two classes have the label \"" + *twin + "\"", {},
                       "Give each class a label of its own.");
}

// ---- csp_import --------------------------------------------------------------------------

std::string bytes_argument(FunctionCallInfo fcinfo, int argument) {
    auto *value = server_call([&] { return PG_GETARG_BYTEA_PP(argument); });
    return std::string(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
}

struct ImportedFile {
    const char *format;
    ModelContents contents;
};

ImportedFile read_file(const std::string &bytes) {
    if (is_pickled(bytes.data(), bytes.size()))
        return {"PyTorch checkpoint", read_published_model(bytes.data(), bytes.size())};
    ModelFile file = read_safetensors(bytes.data(), bytes.size());
    if (is_model_file(file))
        return {"csp_ext", read_model(std::move(file))};
    return {"safetensors", read_published_model(bytes.data(), bytes.size())};
}

void require_encoding(const ModelConfig &config) {
    if (config.position_encoding.empty())
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "the file does not tell the position encoding of the model", {},
                       "Name it and its parameters in the options, for example "
                       "'{\"position_encoding\": \"grid\", \"frequencies\": 64, \"min_radius\": 0.1, \"max_radius\": 360}'.");
}

void require_anchors(const ModelContents &contents) {
    if (contents.config.position_encoding == "rbf" && contents.tensors.count(rbf_anchors_tensor) == 0)
        throw SqlError(ERRCODE_FEATURE_NOT_SUPPORTED, "the file does not hold the anchors of position encoding rbf",
                       "The published code stores numbers of training rows in their place.",
                       "Train the model again: csp_train keeps the anchors.");
}

// Building the model checks every tensor against the configuration.
std::string checked_model_file(const ModelContents &contents) {
    require_encoding(contents.config);
    require_anchors(contents);
    Model(contents.config, contents.labels, contents.tensors);
    return write_model(contents.config, contents.labels, contents.tensors);
}

int64 insert_imported_version(const std::string &name, const ImportedFile &file, std::size_t size, Oid owner) {
    SpiRows rows = spi_execute(
        "INSERT INTO csp.model_version (model, version, configuration, options, provenance, metrics) "
        "SELECT $1, " NEXT_VERSION("$1") ", $2::pg_catalog.jsonb, '{}'::pg_catalog.jsonb, "
        "pg_catalog.jsonb_build_object('imported_from', $3, 'bytes', $4, 'imported_by', "
        "$5::pg_catalog.regrole::pg_catalog.text) OPERATOR(pg_catalog.||) " SOFTWARE ", '{}'::pg_catalog.jsonb RETURNING id",
        SpiArguments().add(name).add(configuration_json(file.contents.config)).add(file.format).add(int64(size)).add(
            OIDOID, ObjectIdGetDatum(owner)));
    return rows.bigint(0, 1);
}

// Damage in a file that a user hands in is not damage of the database.
template <typename Body>
auto as_user_data(Body &&body) -> decltype(body()) {
    try {
        return body();
    } catch (const Error &error) {
        if (error.kind() != ErrorKind::data_corrupted)
            throw;
        throw SqlError(ERRCODE_INVALID_BINARY_REPRESENTATION, error.message(), error.detail(), error.hint());
    }
}

int64 import_model(const std::string &name, const std::string &bytes, std::vector<OptionValue> options) {
    const Oid owner = GetUserId();
    with_spi([&] { require_model_rights(name, owner); });
    ImportedFile file = as_user_data([&] { return read_file(bytes); });
    const bool deploys = take_deploy(options);
    apply_options(file.contents, std::move(options));
    const std::string model_file = as_user_data([&] { return checked_model_file(file.contents); });
    return with_spi([&] {
        CatalogOwnerIdentity catalog_owner;
        claim_model_name(name, owner);
        const int64 version = insert_imported_version(name, file, bytes.size(), owner);
        insert_weights(version, model_file);
        insert_classes(version, file.contents.labels, {});
        if (deploys)
            deploy_version(name, version);
        return version;
    });
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_import);
PG_FUNCTION_INFO_V1(csp_export);

// csp_import(model, file [, options]) -> bigint
Datum csp_import(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        if (PG_ARGISNULL(arg_model) || PG_ARGISNULL(arg_file))
            throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "model and file must not be NULL");
        if (RecoveryInProgress())
            throw SqlError(ERRCODE_READ_ONLY_SQL_TRANSACTION, "cannot execute csp_import during recovery",
                           "This server is a standby.", "Import on the primary; the model will arrive here.");
        auto *name = server_call([&] { return PG_GETARG_TEXT_PP(arg_model); });
        PG_RETURN_INT64(import_model(std::string(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name)),
                                     bytes_argument(fcinfo, arg_file), options_argument(fcinfo, arg_options)));
    });
}

// csp_export([model]) -> bytea
Datum csp_export(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        std::string model;
        if (PG_NARGS() > 0) {
            auto *name = server_call([&] { return PG_GETARG_TEXT_PP(0); });
            model.assign(VARDATA_ANY(name), VARSIZE_ANY_EXHDR(name));
        }
        const std::string file = read_weights(resolve_model(PG_NARGS() > 0 ? model.c_str() : nullptr));
        if (file.size() > MaxAllocSize - VARHDRSZ)
            throw SqlError(ERRCODE_PROGRAM_LIMIT_EXCEEDED, "model file is too large for one value",
                           "It has " + std::to_string(file.size()) + " bytes; a bytea ends at 1 GB.",
                           "Read its parts from csp.model_weights.");
        bytea *result = server_call([&] { return static_cast<bytea *>(palloc(VARHDRSZ + file.size())); });
        SET_VARSIZE(result, VARHDRSZ + file.size());
        std::memcpy(VARDATA(result), file.data(), file.size());
        PG_RETURN_BYTEA_P(result);
    });
}

}  // extern "C"
