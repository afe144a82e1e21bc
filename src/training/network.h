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
#include "dropout.h"
#include "options.h"
#include "random.h"
#include "scores.h"

namespace csp {

// Parameters that one learning rate rules: all are views of `values`, their gradients of
// `gradients` (both of one dimension).
struct ParameterGroup {
    at::Tensor values;
    at::Tensor gradients;
};

// What training adds to the architecture.
struct NetworkSettings {
    Precision precision = Precision::float32;
    double learned_temperature = 0;  // of the in-batch term, where it starts; 0: none is learned
};
NetworkSettings network_settings(const TrainingOptions &options);

class Network {
public:
    // Initialized as published: linear layers of the encoder Xavier-uniform with biases
    // U(+-1/sqrt(inputs)), layer normalization 1 and 0, FCNet and both heads U(+-1/sqrt(inputs)), a SIREN by its omegas.
    // feature_dim is the length of a location's position features.
    Network(const ModelConfig &config, int feature_dim, const at::TensorOptions &options, int64_t seed,
            const NetworkSettings &settings = {});

    // The same network, parameters and all, with gradients of its own: for another thread.
    Network twin() const { return Network(*this, Twin{}); }

    // e(x) of position features (n, feature_dim): (n, D). dropout: null to evaluate; if it has more rows than features
    // are given, as many embeddings.
    at::Tensor embed(const at::Tensor &features, Dropout *dropout) const;

    // W f(I): images (n, image_dim) to (n, D). The image encoder f is frozen.
    at::Tensor project_images(const at::Tensor &images) const;

    // Image features predicted from embeddings (n, D), by a location decoder: (n, image_dim).
    at::Tensor decode_locations(const at::Tensor &embeddings) const;

    // Class scores, before sigmoid or softmax: embeddings (n, D) give (n, C).
    Scores class_scores(const at::Tensor &embeddings) const {
        return {embeddings, class_head_.weight, class_head_.bias, settings_.precision};
    }

    // The embeddings of users, (n, D), and how they score the classes as if they were places,
    // without a bias: (n, C).
    at::Tensor user_embeddings(const at::Tensor &users) const;
    at::Tensor user_class_scores(const at::Tensor &user_embeddings) const;

    // exp(s), which multiplies the cosines of the in-batch term; undefined if none is learned.
    at::Tensor logit_scale() const;

    // After a step: keeps exp(s) at 100 at most, as CLIP does, lest it run away.
    void limit_logit_scale();

    ParameterGroup &encoder() { return encoder_; }  // location encoder, image side, temperature
    ParameterGroup &head() { return head_; }        // class head and users; empty without one
    const ParameterGroup &encoder() const { return encoder_; }
    const ParameterGroup &head() const { return head_; }

    // By the names of encoder/model.h.
    TensorMap tensors() const;

    // Takes over every tensor of the network that is named here. Throws
    // Error(invalid_data) if one has another shape. Users are left out: each run numbers its own.
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
    struct Twin {};
    Network(const Network &other, Twin);

    void build_encoder(Builder &builder);
    void build_head(Builder &builder);
    void build_location_layers(Builder &builder, int feature_dim);
    void build_feed_forward(Builder &builder, int inputs);
    void build_residual(Builder &builder, int inputs);
    void build_siren(Builder &builder, int inputs);
    void build_diagonal(Builder &builder);

    at::Tensor apply(const Linear &layer, const at::Tensor &x) const;
    at::Tensor activate(const at::Tensor &x) const;
    at::Tensor activate(const at::Tensor &x, Dropout *dropout) const;
    at::Tensor forward(const at::Tensor &x, Dropout *dropout) const;
    at::Tensor feed_forward(at::Tensor x, Dropout *dropout) const;
    at::Tensor hidden(const HiddenLayer &layer, const at::Tensor &x, Dropout *dropout) const;
    at::Tensor output(const at::Tensor &x, Dropout *dropout) const;
    at::Tensor residual(at::Tensor x, Dropout *dropout) const;
    at::Tensor siren(at::Tensor x, Dropout *dropout) const;
    at::Tensor activated_last(at::Tensor z, Dropout *dropout) const;
    at::Tensor diagonal(const at::Tensor &x, Dropout *dropout) const;
    at::Tensor look_up_tiles(const at::Tensor &features) const;

    ModelConfig config_;
    int feature_dim_;
    std::vector<HiddenLayer> hidden_;  // of an FCNet: the two layers of each block
    Linear output_;                    // of an FCNet: its first layer
    at::Tensor scale_matrices_;        // of a diagonal network: (F, 6, D / F)
    at::Tensor tiles_;                 // of position encoding tile: (tiles, D)
    Linear image_projection_, location_decoder_, class_head_;
    NetworkSettings settings_;
    at::Tensor users_;      // (users, D)
    at::Tensor log_scale_;  // (1), s; undefined if none is learned
    ParameterGroup encoder_, head_;
    std::vector<NamedParameter> parameters_;
};

}  // namespace csp
