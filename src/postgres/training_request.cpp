// The first arguments of csp_train and csp_tune.
#include "training_request.h"

#include "guard.h"
#include "text_argument.h"
#include "training_library.h"
#include "training_settings.h"

#include "../training/hardware.h"

namespace csp::server {

RunRequest request_from_arguments(FunctionCallInfo fcinfo) {
    if (PG_ARGISNULL(arg_model) || PG_ARGISNULL(arg_source))
        throw SqlError(ERRCODE_NULL_VALUE_NOT_ALLOWED, "model and source must not be NULL");
    RunRequest request;
    request.model = text_or_empty(fcinfo, arg_model);
    request.source = text_or_empty(fcinfo, arg_source);
    request.options.device = csp_device;
    return request;
}

void require_usable_device(const TrainingOptions &options) {
    SignalBlock no_signals;  // a driver may start threads
    require_device(options.device);
}

namespace {

void require_what_is_fused(const RunRequest &request) {
    if (request.options.image_classifier && !(request.query.has_features && request.query.has_label))
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "an image classifier needs image features and labels", {},
                       "Give features and label, or leave the option image_classifier out.");
    if (request.options.calibration && !request.query.has_label)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "calibration needs labels",
                       "It fits temperatures to labelled rows that are held out.",
                       "Give label, or leave the option calibration out.");
}

}  // namespace

void resolve_request(FunctionCallInfo fcinfo, RunRequest &request) {
    require_model_rights(request.model, GetUserId());
    request.query = resolve_training_query(
        request.source, {text_or_empty(fcinfo, arg_location), text_or_empty(fcinfo, arg_features),
                         text_or_empty(fcinfo, arg_label), request.options.observed_at, request.options.observer});
    if (!request.query.has_features && !request.query.has_label)
        throw SqlError(ERRCODE_INVALID_PARAMETER_VALUE, "there is nothing to learn from",
                       "Neither features nor label names a column.",
                       "Give features for contrastive pre-training, label for supervised training, or both.");
    require_what_is_fused(request);
}

}  // namespace csp::server
