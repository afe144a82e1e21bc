// csp_evaluate: how good a model is on the rows of a source.
#include "evaluate_rows.h"
#include "guard.h"
#include "model_cache.h"
#include "options_argument.h"
#include "spi.h"
#include "text_argument.h"
#include "training_request.h"

using namespace csp;
using namespace csp::server;

namespace {

enum { arg_of_model, arg_of_source, arg_of_location, arg_of_label, arg_of_features, arg_of_image_probabilities, arg_of_options };

EvaluationOptions evaluation_options(FunctionCallInfo fcinfo) {
    EvaluationOptions options;
    set_options(options, options_argument(fcinfo, arg_of_options,
                                          "For example '{\"per_class\": true}'. csp_evaluation_options() lists all options."));
    return options;
}

std::shared_ptr<const Model> evaluated_model(FunctionCallInfo fcinfo, const EvaluationOptions &options) {
    const std::string name = text_or_empty(fcinfo, arg_of_model);
    auto model = find_model(PG_ARGISNULL(arg_of_model) ? nullptr : name.c_str());
    const bool dated = !options.observed_at.empty();
    if (dated && !model->config().dates)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model knows no dates",
                       "It was trained without the time of the observations.", "Leave the option observed_at out.");
    if (!dated && model->config().dates)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model needs the date of an observation",
                       "It was trained with the time of the observations.",
                       "Name the column with the option observed_at.");
    return model;
}

void require_parts(const Model &model, const TrainingQuery &query) {
    if (query.has_label && model.config().class_count == 0)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model has no classes",
                       "It was pre-trained on image features only.",
                       "Leave the label out to evaluate how images are put on the map, or train with a label.");
    if (query.has_features && model.config().image_dim == 0)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model has no image side",
                       "It was trained on labels only.",
                       "Leave features out, or give image_probabilities of a classifier of your own.");
}

// The rows of the evaluation, checked before any is read.
TrainingQuery evaluation_query(FunctionCallInfo fcinfo, const EvaluationOptions &options) {
    if (PG_ARGISNULL(arg_of_source))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "source must not be NULL");
    TrainingColumns columns;
    columns.location = text_or_empty(fcinfo, arg_of_location);
    columns.label = text_or_empty(fcinfo, arg_of_label);
    columns.features = text_or_empty(fcinfo, arg_of_features);
    columns.image_probabilities = text_or_empty(fcinfo, arg_of_image_probabilities);
    columns.observed_at = options.observed_at;
    return resolve_training_query(text_or_empty(fcinfo, arg_of_source), columns);
}

// A gallery has no arguments that name its columns, which is what errors about sources speak of.
TrainingQuery gallery_query(const EvaluationOptions &options) {
    TrainingColumns columns;
    columns.observed_at = options.observed_at;
    try {
        return resolve_training_query(options.gallery, columns);
    } catch (const SqlError &error) {
        throw SqlError(error.sqlstate(), "invalid gallery: " + error.message(), error.detail(),
                       "Option gallery takes a table, a view or a SELECT with one column of points" +
                           std::string(options.observed_at.empty() ? "." : ", and the column that the option observed_at names."));
    }
}

std::vector<Figure> evaluate(FunctionCallInfo fcinfo) {
    const EvaluationOptions options = evaluation_options(fcinfo);
    const std::shared_ptr<const Model> model = evaluated_model(fcinfo, options);
    const Check check = [] { check_for_interrupts(); };
    return with_spi([&] {
        const TrainingQuery query = evaluation_query(fcinfo, options);
        require_parts(*model, query);
        Evaluation evaluation(*model, options, {query.has_label, query.has_features, query.has_image_probabilities}, check);
        if (evaluation.has_gallery())
            read_gallery(gallery_query(options), *model, evaluation);
        read_evaluation_rows(query, *model, evaluation);
        return evaluation.figures();
    });
}

void put_figure(ReturnSetInfo *result, const Figure &figure) {
    const double numbers[] = {figure.value, figure.low, figure.high};
    server_call([&] {
        Datum values[] = {CStringGetTextDatum(figure.metric.c_str()),
                          CStringGetTextDatum(figure.scope.c_str()),
                          figure.part ? CStringGetTextDatum(figure.part->c_str()) : Datum(0),
                          Float8GetDatum(numbers[0]),
                          Float8GetDatum(numbers[1]),
                          Float8GetDatum(numbers[2]),
                          Int64GetDatum(figure.rows)};
        bool nulls[] = {false, false, !figure.part, std::isnan(numbers[0]), std::isnan(numbers[1]), std::isnan(numbers[2]), false};
        tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    });
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(csp_evaluate);

// csp_evaluate(model, source [, location] [, label] [, features] [, image_probabilities] [, options])
//   -> setof (metric, scope, part, value, low, high, rows)
Datum csp_evaluate(PG_FUNCTION_ARGS) {
    return guard([&]() -> Datum {
        server_call([&] { InitMaterializedSRF(fcinfo, 0); });
        for (const Figure &figure : evaluate(fcinfo)) {
            put_figure(reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo), figure);
            check_for_interrupts();
        }
        PG_RETURN_NULL();
    });
}

}  // extern "C"
