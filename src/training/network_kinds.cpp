// The forward pass of each kind of network, as encoder/location_network.h has them for queries.
#include <ATen/ATen.h>

#include "network.h"

namespace csp {

// Hidden layers, then the output layer: see encoder/feed_forward.h.
at::Tensor Network::feed_forward(at::Tensor x, Dropout *dropout) const {
    for (const HiddenLayer &layer : hidden_) x = hidden(layer, x, dropout);
    return output(x, dropout);
}

at::Tensor Network::hidden(const HiddenLayer &layer, const at::Tensor &x, Dropout *dropout) const {
    at::Tensor z = activate(apply(layer.linear, x), dropout);
    if (config_.skip_connection && z.size(1) == x.size(1)) z = z + (dropout ? dropout->repeat(x) : x);
    if (!layer.norm_weight.defined()) return z;
    return at::layer_norm(z, {z.size(1)}, layer.norm_weight, layer.norm_bias, 1e-5);
}

at::Tensor Network::output(const at::Tensor &x, Dropout *dropout) const {
    const at::Tensor z = apply(output_, x);
    return config_.activate_embedding ? activate(z, dropout) : z;
}

// encoder/residual_net.h; dropout between the two layers of a block, as published.
at::Tensor Network::residual(at::Tensor x, Dropout *dropout) const {
    x = activate(apply(output_, x));
    for (std::size_t i = 0; i + 1 < hidden_.size(); i += 2) {
        const at::Tensor z = activate(apply(hidden_[i].linear, x), dropout);
        x = (dropout ? dropout->repeat(x) : x) + activate(apply(hidden_[i + 1].linear, z));
    }
    return x;
}

// encoder/siren.h; dropout inside the sine, as SatCLIP has it.
at::Tensor Network::siren(at::Tensor x, Dropout *dropout) const {
    double omega = config_.siren_first_omega;
    for (const HiddenLayer &layer : hidden_) {
        at::Tensor z = apply(layer.linear, x);
        if (dropout) z = (*dropout)(z);
        x = at::sin(omega * z);
        omega = config_.siren_omega;
    }
    return apply(output_, x);
}

// encoder/plain_networks.h; dropout before the activation, as published.
at::Tensor Network::activated_last(at::Tensor z, Dropout *dropout) const {
    if (dropout) z = (*dropout)(z);
    return config_.activate_embedding ? activate(z) : z;
}

at::Tensor Network::diagonal(const at::Tensor &x, Dropout *dropout) const {
    const int64_t scales = scale_matrices_.size(0);
    const at::Tensor six = x.view({x.size(0), scales, 6}).transpose(0, 1);
    at::Tensor z = at::bmm(six, scale_matrices_).transpose(0, 1).reshape({x.size(0), -1});
    if (!config_.diagonal_projection) return activated_last(z, dropout);
    if (dropout) z = (*dropout)(z);
    return activated_last(apply(output_, z), dropout);
}

// The number of a tile becomes its row of the table; what follows it (a date) stays.
at::Tensor Network::look_up_tiles(const at::Tensor &features) const {
    const at::Tensor rows = tiles_.index_select(0, features.select(1, 0).to(at::kLong));
    return features.size(1) == 1 ? rows : at::cat({rows, features.slice(1, 1)}, 1);
}

at::Tensor Network::forward(const at::Tensor &x, Dropout *dropout) const {
    switch (config_.network) {
        case NetworkKind::fcnet: return residual(x, dropout);
        case NetworkKind::siren: return siren(x, dropout);
        case NetworkKind::linear: return activated_last(apply(output_, x), dropout);
        case NetworkKind::diagonal: return diagonal(x, dropout);
        case NetworkKind::ffn: break;
    }
    return feed_forward(x, dropout);
}

at::Tensor Network::embed(const at::Tensor &features, Dropout *dropout) const {
    const at::Tensor embeddings = forward(tiles_.defined() ? look_up_tiles(features) : features, dropout);
    return dropout ? dropout->repeat(embeddings) : embeddings;
}

}  // namespace csp
