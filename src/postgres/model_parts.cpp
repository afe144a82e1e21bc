// Models that lack a part.
#include "model_parts.h"

#include "guard.h"

namespace csp::server {

void require_class_head(const Model &model) {
    if (model.config().class_count == 0)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model has no classes",
                       "It was pre-trained on image features only.",
                       "Train with the argument label => 'column' to get class probabilities.");
}

void require_image_side(const Model &model) {
    if (!compares_images(model.config()))
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model has no image side",
                       model.config().image_classifier ? "It only classifies images: it was not pre-trained with them."
                                                       : "It was trained on labels only.",
                       "Train with the argument features => 'column' to compare places with images.");
}

void require_image_classifier(const Model &model) {
    if (!model.config().image_classifier)
        throw SqlError(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE, "the model has no image classifier",
                       "It cannot tell the classes of an image from its features.",
                       "Train with the option image_classifier, features and label, or give the probabilities of a "
                       "classifier of your own to csp_fuse.");
}

}  // namespace csp::server
