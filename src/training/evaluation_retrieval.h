// Where images are put on the map: each is looked up among the embeddings of places, and the most similar place is the guess, as
// papers on geolocation do it.
#pragma once

#include <cstdint>
#include <vector>

#include "../encoder/model.h"
#include "evaluation_sums.h"

namespace csp {

// Rows drawn from a stream of unknown length, each with the same chance (Vitter's algorithm R).
class Reservoir {
public:
    Reservoir(std::size_t capacity, uint64_t key) : capacity_(capacity), key_(key) {}

    // The slot that the next row takes, at most the number of slots in use; or none.
    std::optional<std::size_t> next();
    int64_t seen() const { return seen_; }

private:
    std::size_t capacity_;
    uint64_t key_;
    int64_t seen_ = 0;
};

double great_circle_km(const double *lonlat, const double *other);

class Retrieval {
public:
    // The model has an image side.
    Retrieval(const Model &model, const EvaluationOptions &options);

    // date: for a model with dates. group: of the bootstrap.
    void add_image(const double *lonlat, float date, const float *features, int group);

    // A place of the gallery. Without any, those of the images are the gallery.
    void add_place(const double *lonlat, float date);

    std::vector<Figure> figures(const Check &check) const;

private:
    struct Places {
        std::vector<double> lonlat;
        std::vector<float> dates;
        std::size_t size() const { return dates.size(); }
        void put(std::size_t slot, const double *place, float date);
    };

    // What came of an image.
    struct Found {
        float score = -2;
        std::size_t place = 0;  // of the gallery
        double distance = 0;    // of the image from it, in km
        float own_score = 0;    // of the image's own place
        double ahead = 0;       // places that are more similar than that; half of those that are as similar
    };

    const Places &gallery() const { return own_gallery_ ? images_ : places_; }
    const float *vector_of(std::size_t image) const { return &vectors_[image * width_]; }
    std::vector<Found> search(const Check &check) const;
    void take_scores(const float *scores, std::size_t image, std::size_t first, std::size_t count, Found &found) const;
    std::vector<double> values_of(const std::vector<Found> &found, const std::vector<std::size_t> &order,
                                  const std::vector<uint32_t> *weights) const;
    // values_of for each resample, a list for each value.
    std::vector<std::vector<double>> resample(const std::vector<Found> &found, const std::vector<std::size_t> &order,
                                              std::size_t values, const Check &check) const;

    const Model &model_;
    const EvaluationOptions &options_;
    bool own_gallery_;
    std::size_t width_;  // of what is compared
    Reservoir image_draw_, place_draw_;
    Places images_, places_;
    std::vector<float> vectors_;  // of the images, of length 1
    std::vector<int> groups_;     // of the images
};

}  // namespace csp
