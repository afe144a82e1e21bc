// The time of the year as an input.
#include "dates.h"

#include <cmath>

#include "coordinates.h"

namespace csp {

int date_dim(const ModelConfig &config) {
    if (!config.dates)
        return 0;
    const bool wrap = config.position_encoding == "wrap" || config.position_encoding == "wrap_ffn";
    return wrap && config.wrap_features == WrapFeatures::encode_none ? 1 : 2;
}

void encode_date(const ModelConfig &config, float date, float *features) {
    const float d = 2.0f * date - 1.0f;
    if (date_dim(config) == 1) {
        features[0] = d;
        return;
    }
    features[0] = static_cast<float>(std::sin(pi * d));
    features[1] = static_cast<float>(std::cos(pi * d));
}

}  // namespace csp
