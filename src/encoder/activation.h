// The activation functions of the feed-forward net. Apart from config.h so that the kernels
// can be compiled without the standard library (see kernel.h).
#pragma once

namespace csp {

// Activation of the feed-forward net [spa_f_act]. leakyrelu has slope 0.2 and gelu is the
// exact one (erf), as in the published code.
// sine is that of a SIREN and no choice for other nets.
enum class Activation { relu, leakyrelu, gelu, sigmoid, tanh, sine };

}  // namespace csp
