// A trained CSP model as queries use it: the front header of this room.
//
// Location encoder e(x) (position encoding and feed-forward net), class head and image
// projection, evaluated in float32 by the kernels of kernel.h. No torch, no PostgreSQL, no
// threads; a Model is immutable and its const functions need no lock.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "error.h"
#include "safetensors.h"

namespace csp {

struct Kernels;

// All that a model file holds.
struct ModelContents {
    ModelConfig config;
    std::vector<std::string> labels;
    TensorMap tensors;
};

class Model {
public:
    // Throws Error(data_corrupted) if a tensor that the configuration needs is missing, has
    // another shape, or holds NaN or infinity. Tensor names are the published ones:
    // spa_enc.ffn.layers.<i>.linear.{weight,bias}, .layernorm.{weight,bias},
    // class_emb.weight (C, D) [class_emb.bias (C)], img_dec.{weight (D, Dimg), bias (D)} or
    // loc_dec.{weight (Dimg, D), bias (Dimg)}; and image_class.{weight (C, Dimg), bias (C)}. Other tensors are left alone: a model file also
    // keeps what only training looks at.
    Model(ModelConfig config, std::vector<std::string> labels, const TensorMap &tensors);
    // The same on kernels of the caller's choice, for tests and measurements.
    Model(ModelConfig config, std::vector<std::string> labels, const TensorMap &tensors, const Kernels &kernels);
    ~Model();
    Model(Model &&) noexcept;
    Model &operator=(Model &&) noexcept;

    // From the bytes of a model file; labels and configuration come from its metadata.
    static Model from_file(const char *bytes, std::size_t size);

    const ModelConfig &config() const;
    const std::vector<std::string> &labels() const;  // class i is labels()[i]
    int class_index(const std::string &label) const;  // -1: no such label
    std::size_t memory() const;                       // bytes held

    // What follows works on n rows at a time. Every row's result is the same to the last bit alone and in any batch.
    // Strides are in floats, from one row to the next: at least the row's width, so that a row can be written where it
    // is wanted, behind an array's header, say. Forms without strides have dense rows. n may be 0.

    // e(x): lonlat n pairs (lon, lat) in degrees, longitudes in [-180, 180]; out n rows of D. A model with dates asks for
    // dates (n), the parts of the year that have passed, 0 to 1, and throws Error(not_supported) without; for others
    // dates may be null.
    void embed(const double *lonlat, const float *dates, std::size_t n, float *out, std::size_t out_stride) const;
    void embed(const double *lonlat, const float *dates, std::size_t n, float *out) const;
    void embed(const double *lonlat, std::size_t n, float *out) const { embed(lonlat, nullptr, n, out); }

    // W f(I): features (n, image_dim) dense; out n rows of D. Throws Error(not_supported) without an
    // image side, and where that is a location decoder, which leaves images as they are.
    void embed_image(const float *features, std::size_t n, float *out, std::size_t out_stride) const;
    void embed_image(const float *features, std::size_t n, float *out) const;

    // The image features that a location decoder expects at a place: embeddings (n, D) dense; out (n, image_dim) dense. Throws
    // Error(not_supported) for a model without a location decoder.
    void predict_features(const float *embeddings, std::size_t n, float *out) const;

    // How well an image goes with a place, -1 to 1: the cosine of the embedding (D) and W f(I),
    // or of the features that the location decoder makes of the embedding and the image's own.
    // n pairs: features (n, image_dim) dense; out (n). Throws Error(not_supported) without an image side.
    void similarities(const float *embeddings, std::size_t stride, const float *features, std::size_t n,
                      float *out) const;
    float similarity(const float *embedding, const float *features) const;

    // P(y | x) of all classes: embeddings n rows of D; out n rows of C. Throws Error(not_supported)
    // without a class head.
    void probabilities(const float *embeddings, std::size_t stride, std::size_t n, float *out,
                       std::size_t out_stride) const;
    void probabilities(const float *embeddings, std::size_t n, float *out) const;

    // P(y | x) of class classes[i] at embedding i; out (n). A sigmoid head computes only this class; a softmax head
    // needs all scores for its denominator, and takes a few rows at a time so that they need not all be in memory.
    // Throws Error(undefined_object) for a class that the model does not have.
    void probability(const float *embeddings, std::size_t stride, const int *classes, std::size_t n, float *out) const;
    float probability(const float *embedding, int class_index) const;

    // P(y | I) of all classes by the image classifier: features (n, image_dim) dense; out n rows of C. Throws
    // Error(not_supported) without one.
    void image_probabilities(const float *features, std::size_t n, float *out, std::size_t out_stride) const;

    // P(y | I, x) of all classes by the model's prior_strength and fusion_temperature: n dense rows of C, out may be one of
    // them. See fuse() in fusion.h.
    void fuse(const float *image_probabilities, const float *place_probabilities, std::size_t n, float *out) const;

private:
    struct Parts;
    std::unique_ptr<Parts> parts_;
};

// Whether what a model makes of features is finite. Of features that are finite themselves, but next to the largest float, it need
// not be. Probabilities of an image are then all NaN.
bool is_finite_answer(const float *answer, std::size_t n);

// Throws Error(invalid_data) where it is not.
void require_finite_answer(const float *answer, std::size_t n);

// Whether a safetensors file is a model file of csp_ext: it has its mark.
bool is_model_file(const ModelFile &file);

// The contents of a model file of csp_ext. Throws Error(data_corrupted) for anything else, Error(not_supported) for a
// version that this library does not know.
ModelContents read_model(ModelFile file);

// The bytes of a model file for Model::from_file: weights, configuration and labels.
std::string write_model(const ModelConfig &config, const std::vector<std::string> &labels, const TensorMap &tensors);

// Cosine of two vectors; 0 if either is zero, NaN if an element of one is not finite.
float cosine(const float *a, const float *b, std::size_t n);

// The instruction set that the kernels run on here: "AVX-512", "AVX2" or "baseline".
const char *kernel_instruction_set();

}  // namespace csp
