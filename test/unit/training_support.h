// What the tests of whole runs share: small made-up data, and options that go with it.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "../../src/encoder/error.h"
#include "../../src/training/feature_store.h"
#include "../../src/training/options.h"
#include "../../src/training/random.h"
#include "../../src/training/trainer.h"

namespace csp_test {

// Packed as options.feature_storage says.
inline csp::PackedRows packed(const std::vector<float> &features, int dim,
                              csp::FeatureStorage storage = csp::FeatureStorage::float32) {
    csp::PackedRows rows(storage, dim);
    for (std::size_t i = 0; i < features.size(); i += static_cast<std::size_t>(dim)) rows.append(features.data() + i);
    return rows;
}

// Places of three zones of latitude, the classes; images tell longitude and latitude.
struct ToyData {
    std::vector<double> lonlat;
    std::vector<float> features;
    std::vector<int32_t> classes;
    std::vector<int32_t> users;
    std::vector<uint8_t> validation;

    explicit ToyData(std::size_t rows) {
        csp::RandomStream random(42, csp::RandomPurpose::order);
        for (std::size_t i = 0; i < rows; ++i) {
            const double lon = 300 * random.uniform() - 150, lat = 120 * random.uniform() - 60;
            lonlat.insert(lonlat.end(), {lon, lat});
            for (double angle : {lon, lat, 2 * lon, 2 * lat}) {
                features.push_back(static_cast<float>(std::sin(angle / 57.3)));
                features.push_back(static_cast<float>(std::cos(angle / 57.3)));
            }
            classes.push_back(i % 3 == 0 ? -1 : lat < -20 ? 0 : lat < 20 ? 1 : 2);
            users.push_back(static_cast<int32_t>(i % 6) - 1);
            validation.push_back(i % 10 == 4);
        }
    }

    csp::TrainingData view() const {
        csp::TrainingData data;
        data.rows = validation.size();
        data.lonlat = lonlat.data();
        data.features = csp::features_in_memory(packed(features, 8));
        data.image_dim = 8;
        data.classes = classes.data();
        data.class_count = 3;
        data.users = users.data();
        data.user_count = 5;
        data.validation = validation.data();
        return data;
    }
};

// The error that a call throws; a failure of the test if it throws none.
template <class Call>
csp::Error error_of(Call &&call) {
    try {
        call();
    } catch (const csp::Error &error) {
        return error;
    }
    ADD_FAILURE() << "no error was thrown";
    return csp::Error(csp::ErrorKind::internal, "");
}

struct FinishedRun {
    std::vector<csp::EpochMetrics> epochs;
    csp::TrainedModel model;
};

inline csp::TrainingOptions small_options() {
    csp::TrainingOptions options;
    options.model.frequencies = 8;
    options.model.min_radius = 5;
    options.model.max_radius = 60;
    options.model.hidden_layers = 1;
    options.model.hidden_dim = 64;
    options.model.embedding_dim = 32;
    options.pretrain_epochs = 15;
    options.epochs = 15;
    options.min_steps = 0;
    options.batch_size = 64;
    options.fine_tune_batch_size = 32;
    options.device = "cpu";
    return options;
}

}  // namespace csp_test
