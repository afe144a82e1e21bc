// What a model must have to answer a call.
#pragma once

#include "pg.h"

#include "../encoder/model.h"

namespace csp::server {

// Each throws SqlError(object_not_in_prerequisite_state) for a model that lacks the part, with the way to one that has it.
void require_class_head(const Model &model);
void require_image_side(const Model &model);
void require_image_classifier(const Model &model);

}  // namespace csp::server
