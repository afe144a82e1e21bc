// The time of the year as an input, as geo_prior has it: after the position features.
#pragma once

#include <cstddef>

#include "config.h"

namespace csp {

// 0 without dates; 1 beside the plain coordinates of encode_none, else 2.
int date_dim(const ModelConfig &config);

// date: the part of the year that has passed, 0 to 1. With d = 2 date - 1: sin(pi d), cos(pi d); or d alone.
void encode_date(const ModelConfig &config, float date, float *features);

}  // namespace csp
