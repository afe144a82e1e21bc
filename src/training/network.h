// The network of a CSP model as torch differentiates it: the feed-forward net of the location
// encoder, the class head and the image projection.
//
// encoder/model.h evaluates the same network for queries; a test holds the two together. The
// parameters are views into one tensor, and so are their gradients: the optimizer and the
// zeroing of gradients then take a handful of operations whatever the depth.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "../encoder/config.h"
#include "../encoder/tensors.h"
#include "random.h"

namespace csp {

// Sets a share of activations to zero and scales the others up, with its own random stream.
class Dropout {
public:
    Dropout(double probability, RandomStream random) : probability_(probability), random_(random) {}
    at::Tensor operator()(const at::Tensor &activations);

private:
    double probability_;
    RandomStream random_;
};

// Parameters that one learning rate rules: all are views of `values`, their gradients of
// `gradients` (both of one dimension).
struct ParameterGroup {
    at::Tensor values;
    at::Tensor gradients;
};

class Network {
public:
    // Initialized as published: linear layers of the encoder Xavier-uniform with biases
    // U(+-1/sqrt(inputs)), layer normalization 1 and 0, FCNet and both heads U(+-1/sqrt(inputs)), a SIREN by its omegas.
    // feature_dim is the length of a location's position features.
    Network(const ModelConfig &config, int feature_dim, const at::TensorOptions &options, int64_t seed);

    // e(x) of position features (n, feature_dim): (n, D). dropout: null to evaluate.
    at::Tensor embed(const at::Tensor &features, Dropout *dropout) const;

    // W f(I): images (n, image_dim) to (n, D). The image encoder f is frozen.
    at::Tensor project_images(const at::Tensor &images) const;

    // Class scores, before sigmoid or softmax: embeddings (n, D) to (n, C).
    at::Tensor class_scores(const at::Tensor &embeddings) const;

    ParameterGroup &encoder() { return encoder_; }  // location encoder and image projection
    ParameterGroup &head() { return head_; }        // class head; empty without one

    // By the names of encoder/model.h.
    TensorMap tensors() const;

    // Takes over every tensor of the network that is named here. Throws
    // Error(invalid_data) if one has another shape.
    void load(const TensorMap &tensors);

private:
    struct Linear {
        at::Tensor weight, bias;  // (outputs, inputs); (outputs), undefined without a bias
    };
    struct HiddenLayer {
        Linear linear;
        at::Tensor norm_weight, norm_bias;  // undefined without layer normalization
    };
    using NamedParameter = std::pair<std::string, at::Tensor>;
    class Builder;

    void build_location_layers(Builder &builder, int feature_dim);
    void build_feed_forward(Builder &builder, int inputs);
    void build_residual(Builder &builder, int inputs);
    void build_siren(Builder &builder, int inputs);
    void build_diagonal(Builder &builder);

    static at::Tensor apply(const Linear &linear, const at::Tensor &x);
    at::Tensor activate(const at::Tensor &x) const;
    at::Tensor feed_forward(at::Tensor x, Dropout *dropout) const;
    at::Tensor hidden(const HiddenLayer &layer, const at::Tensor &x, Dropout *dropout) const;
    at::Tensor output(const at::Tensor &x, Dropout *dropout) const;
    at::Tensor residual(at::Tensor x, Dropout *dropout) const;
    at::Tensor siren(at::Tensor x, Dropout *dropout) const;
    at::Tensor activated_last(at::Tensor z, Dropout *dropout) const;
    at::Tensor diagonal(const at::Tensor &x, Dropout *dropout) const;
    at::Tensor look_up_tiles(const at::Tensor &features) const;

    ModelConfig config_;
    std::vector<HiddenLayer> hidden_;  // of an FCNet: the two layers of each block
    Linear output_;                    // of an FCNet: its first layer
    at::Tensor scale_matrices_;        // of a diagonal network: (F, 6, D / F)
    at::Tensor tiles_;                 // of position encoding tile: (tiles, D)
    Linear image_projection_, class_head_;
    ParameterGroup encoder_, head_;
    std::vector<NamedParameter> parameters_;
};

}  // namespace csp
