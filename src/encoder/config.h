// What a model is, apart from its weights: the architecture of a CSP location encoder.
//
// Names follow the CSP and TorchSpatial code where those have one (given in brackets).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "activation.h"

namespace csp {

// The list of frequencies of the multi-scale encodings [freq_init]. random ones are drawn once and are
// part of the model; nerf is pi 2^k.
enum class FrequencyList { geometric, random, nerf };

// What follows the position encoding: the feed-forward net of Space2Vec and Sphere2Vec, the residual FCNet of
// geo_prior [geo_net], the SIREN of SatCLIP, one linear layer (hexagridcell) or one small matrix a scale (theorydiag).
enum class NetworkKind { ffn, fcnet, siren, linear, diagonal };

// The input features of wrap and wrap_ffn (geo_prior): sines and cosines, the published "3D" (which doubles the
// latitude and so is not a point on the globe), or the coordinates scaled to [-1, 1].
enum class WrapFeatures { encode_cos_sin, encode_3D, encode_none };

// Which of SatCLIP's two tables of spherical harmonics: the closed form, or the analytic one, whose terms of order 0
// are pi times as large and whose odd orders have the other sign.
enum class Harmonics { closed_form, analytic };

// How class scores become probabilities: one sigmoid a class (as published: presence of a
// class, the values need not add up to 1) or a softmax over the classes.
enum class ClassHead { sigmoid, softmax };

// A rectangle of coordinates in degrees.
struct Extent {
    double west = -180, east = 180, south = -90, north = 90;
};

// How places and images come to be comparable: images projected into the space of embeddings
// (img_dec) or embeddings decoded into the space of image features (loc_dec). none: they are not, the model only
// classifies images.
enum class ImageSide { image_projection, location_decoder, none };

struct ModelConfig {
    // Position encoding [spa_enc_type], by its canonical name: see position_encoding.h.
    std::string position_encoding = "grid";
    int frequencies = 32;      // number of scales F [frequency_num]
    double min_radius = 0.16;  // finest scale; its period is 2*pi*min_radius, in degrees for grid
    double max_radius = 57.3;  // coarsest scale
    FrequencyList frequency_list = FrequencyList::geometric;
    Extent extent;             // of naive, rff and tile [map_range]
    int anchors = 200;         // of rbf [num_rbf_anchor_pts]
    double kernel_size = 1;    // rbf: its sigma in degrees; rff: variance of the directions [rbf_kernel_size]
    int degrees = 10;          // of spherical harmonics: L, for L * L features [legendre_poly_num]
    Harmonics harmonics = Harmonics::closed_form;
    WrapFeatures wrap_features = WrapFeatures::encode_cos_sin;
    // As the published code where that does not do what the papers mean (doc/encoders.md): for weights that
    // were trained with it, and for training that is to be compared with it.
    bool published_defects = false;
    bool dates = false;  // the time of the year is an input too [use_date_feats]

    NetworkKind network = NetworkKind::ffn;
    double siren_first_omega = 30;  // of the first layer of a SIREN
    double siren_omega = 1;         // of its other hidden layers
    bool diagonal_projection = false;  // diagonal: a linear layer after it [spa_enc_use_postmat]
    int hidden_layers = 1;  // [num_hidden_layer]; residual blocks of an FCNet
    int hidden_dim = 512;   // [hidden_dim]
    int embedding_dim = 256;  // D [num_filts]
    Activation activation = Activation::leakyrelu;
    bool skip_connection = true;  // adds a hidden layer's input where the widths agree
    bool layer_norm = true;       // after each hidden layer [use_layn]
    bool activate_embedding = true;  // activation (and dropout) on the output layer, as published
    double dropout = 0.5;            // only training looks at it

    int image_dim = 0;    // length of an image feature vector; 0: the model knows nothing of images
    ImageSide image_side = ImageSide::image_projection;
    int user_count = 0;   // observers of the user head, which only training looks at; 0: none
    int class_count = 0;  // 0: the model has no class head
    ClassHead class_head = ClassHead::sigmoid;
    bool class_bias = false;  // the published head is Linear without bias
    bool image_classifier = false;  // classes of images too, by a softmax over a linear layer
    // What the scores of the class head and of the image classifier are divided by before they become probabilities.
    double place_temperature = 1, image_temperature = 1;
    double prior_strength = 1;  // exponent of P(y | x) where it meets P(y | I)
    double fusion_temperature = 1;  // root of their product: above 1 where image and place say the same
};

// Whether places can be compared with images: csp_similarity can.
inline bool compares_images(const ModelConfig &config) {
    return config.image_dim > 0 && config.image_side != ImageSide::none;
}

const char *to_string(Activation value);
const char *to_string(ClassHead value);
const char *to_string(FrequencyList value);
const char *to_string(NetworkKind value);
const char *to_string(WrapFeatures value);
const char *to_string(Harmonics value);
const char *to_string(ImageSide value);
// "west, east, south, north", as the published map_range has them.
std::string to_string(const Extent &value);
// All throw Error(invalid_parameter) that lists the known names or the form.
Activation activation_from_string(const std::string &name);
ClassHead class_head_from_string(const std::string &name);
FrequencyList frequency_list_from_string(const std::string &name);
NetworkKind network_from_string(const std::string &name);
WrapFeatures wrap_features_from_string(const std::string &name);
Harmonics harmonics_from_string(const std::string &name);
ImageSide image_side_from_string(const std::string &name);
Extent extent_from_string(const std::string &text);

// Chooses a position encoding by any of its names, with the parameters and the network that suit it.
void set_position_encoding(ModelConfig &config, const std::string &name);

// Throws Error(invalid_parameter) if a value is out of its range or values contradict each
// other (for example frequencies = 1 with a geometric list of scales).
void validate(const ModelConfig &config);

// The configuration as flat key-value text, as it stands in the metadata of a model file;
// doubles survive the round trip exactly. image_side, user_count and what is about fusion stand there only if they
// are not the default, as in models of before they were known. config_from_metadata throws Error(data_corrupted)
// on another missing key or a malformed value.
std::map<std::string, std::string> config_to_metadata(const ModelConfig &config);
ModelConfig config_from_metadata(const std::map<std::string, std::string> &metadata);

}  // namespace csp
