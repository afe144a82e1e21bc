// What a model is, apart from its weights: the architecture of a CSP location encoder.
//
// Names follow the CSP and TorchSpatial code where those have one (given in brackets).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "activation.h"

namespace csp {

// How class scores become probabilities: one sigmoid a class (as published: presence of a
// class, the values need not add up to 1) or a softmax over the classes.
enum class ClassHead { sigmoid, softmax };

// How places and images come to be comparable: images projected into the space of embeddings
// (img_dec) or embeddings decoded into the space of image features (loc_dec).
enum class ImageSide { image_projection, location_decoder };

struct ModelConfig {
    // Position encoding [spa_enc_type], by its canonical name: see position_encoding.h.
    std::string position_encoding = "grid";
    int frequencies = 32;      // number of scales F [frequency_num]
    double min_radius = 0.16;  // finest scale; its period is 2*pi*min_radius, in degrees for grid
    double max_radius = 57.3;  // coarsest scale

    int hidden_layers = 1;  // [num_hidden_layer]
    int hidden_dim = 512;   // [hidden_dim]
    int embedding_dim = 256;  // D [num_filts]
    Activation activation = Activation::leakyrelu;
    bool skip_connection = true;  // adds a hidden layer's input where the widths agree
    bool layer_norm = true;       // after each hidden layer [use_layn]
    bool activate_embedding = true;  // activation (and dropout) on the output layer, as published
    double dropout = 0.5;            // only training looks at it

    int image_dim = 0;    // length of an image feature vector; 0: the model has no image side
    ImageSide image_side = ImageSide::image_projection;
    int user_count = 0;   // observers of the user head, which only training looks at; 0: none
    int class_count = 0;  // 0: the model has no class head
    ClassHead class_head = ClassHead::sigmoid;
    bool class_bias = false;  // the published head is Linear without bias
};

const char *to_string(Activation value);
const char *to_string(ClassHead value);
const char *to_string(ImageSide value);
// All throw Error(invalid_parameter) that lists the known names.
Activation activation_from_string(const std::string &name);
ClassHead class_head_from_string(const std::string &name);
ImageSide image_side_from_string(const std::string &name);

// Throws Error(invalid_parameter) if a value is out of its range or values contradict each
// other (for example frequencies = 1 with a geometric list of scales).
void validate(const ModelConfig &config);

// The configuration as flat key-value text, as it stands in the metadata of a model file;
// doubles survive the round trip exactly. image_side and user_count stand there only if they
// are not the default, as in models of before they were known. config_from_metadata throws Error(data_corrupted)
// on another missing key or a malformed value.
std::map<std::string, std::string> config_to_metadata(const ModelConfig &config);
ModelConfig config_from_metadata(const std::map<std::string, std::string> &metadata);

}  // namespace csp
