// The kinds of networks.
#include "location_network.h"

#include "feed_forward.h"
#include "plain_networks.h"
#include "residual_net.h"
#include "siren.h"

namespace csp {

std::unique_ptr<LocationNetwork> make_location_network(const ModelConfig &config, std::size_t features,
                                                       const TensorMap &tensors, const Kernels &kernels) {
    switch (config.network) {
        case NetworkKind::fcnet: return std::make_unique<ResidualNet>(config, features, tensors, kernels);
        case NetworkKind::siren: return std::make_unique<Siren>(config, features, tensors, kernels);
        case NetworkKind::linear: return std::make_unique<LinearNetwork>(config, features, tensors, kernels);
        case NetworkKind::diagonal: return std::make_unique<DiagonalNetwork>(config, features, tensors, kernels);
        case NetworkKind::ffn: break;
    }
    return std::make_unique<FeedForward>(config, features, tensors, kernels);
}

}  // namespace csp
