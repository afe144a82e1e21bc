// The configuration: names, ranges, and the round trip through metadata.
#include "../../src/encoder/config.h"

#include <cmath>
#include <limits>

#include "encoder_support.h"

namespace {

using csp::ErrorKind;
using csp::ModelConfig;
using csp_test::expect_error;

TEST(Config, NamesOfEnumsRoundTrip) {
    for (const char *name : {"relu", "leakyrelu", "gelu", "sigmoid", "tanh"})
        EXPECT_STREQ(csp::to_string(csp::activation_from_string(name)), name);
    for (const char *name : {"sigmoid", "softmax"})
        EXPECT_STREQ(csp::to_string(csp::class_head_from_string(name)), name);
}

TEST(Config, UnknownNamesListTheKnownOnes) {
    for (const char *name : {"", "ReLU", "swish", "leakyrelu "}) {
        try {
            csp::activation_from_string(name);
            ADD_FAILURE() << name;
        } catch (const csp::Error &error) {
            EXPECT_EQ(error.kind(), ErrorKind::invalid_parameter);
            EXPECT_NE(error.hint().find("relu, leakyrelu, gelu, sigmoid, tanh"), std::string::npos) << error.hint();
        }
    }
    expect_error(ErrorKind::invalid_parameter, [] { csp::class_head_from_string("argmax"); });
}

TEST(Config, DefaultsAreValid) {
    EXPECT_NO_THROW(csp::validate(ModelConfig()));
}

struct InvalidCase {
    const char *name;
    void (*change)(ModelConfig &);
};

const InvalidCase invalid_cases[] = {
    {"frequencies 0", [](ModelConfig &c) { c.frequencies = 0; }},
    {"frequencies negative", [](ModelConfig &c) { c.frequencies = -1; }},
    {"frequencies 1 of a geometric list", [](ModelConfig &c) { c.frequencies = 1; }},
    {"frequencies 1025", [](ModelConfig &c) { c.frequencies = 1025; }},
    {"min_radius 0", [](ModelConfig &c) { c.min_radius = 0; }},
    {"min_radius negative", [](ModelConfig &c) { c.min_radius = -0.1; }},
    {"min_radius NaN", [](ModelConfig &c) { c.min_radius = std::nan(""); }},
    {"min_radius infinite", [](ModelConfig &c) { c.min_radius = std::numeric_limits<double>::infinity(); }},
    {"max_radius equal", [](ModelConfig &c) { c.max_radius = c.min_radius; }},
    {"max_radius less", [](ModelConfig &c) { c.max_radius = c.min_radius / 2; }},
    {"max_radius NaN", [](ModelConfig &c) { c.max_radius = std::nan(""); }},
    {"max_radius infinite", [](ModelConfig &c) { c.max_radius = std::numeric_limits<double>::infinity(); }},
    {"hidden_layers negative", [](ModelConfig &c) { c.hidden_layers = -1; }},
    {"hidden_layers 17", [](ModelConfig &c) { c.hidden_layers = 17; }},
    {"hidden_dim 0", [](ModelConfig &c) { c.hidden_dim = 0; }},
    {"hidden_dim 8193", [](ModelConfig &c) { c.hidden_dim = 8193; }},
    {"embedding_dim 0", [](ModelConfig &c) { c.embedding_dim = 0; }},
    {"embedding_dim 8193", [](ModelConfig &c) { c.embedding_dim = 8193; }},
    {"dropout negative", [](ModelConfig &c) { c.dropout = -0.01; }},
    {"dropout 1", [](ModelConfig &c) { c.dropout = 1; }},
    {"dropout NaN", [](ModelConfig &c) { c.dropout = std::nan(""); }},
    {"image_dim negative", [](ModelConfig &c) { c.image_dim = -1; }},
    {"image_dim 65537", [](ModelConfig &c) { c.image_dim = 65537; }},
    {"class_count negative", [](ModelConfig &c) { c.class_count = -1; }},
    {"class_count 1000001", [](ModelConfig &c) { c.class_count = 1000001; }},
};

TEST(Config, EveryRangeIsChecked) {
    for (const InvalidCase &invalid : invalid_cases) {
        ModelConfig config;
        invalid.change(config);
        expect_error(ErrorKind::invalid_parameter, [&] { csp::validate(config); }, invalid.name);
    }
}

TEST(Config, EndsOfRangesAreValid) {
    ModelConfig config;
    config.frequencies = 2;
    config.hidden_layers = 0;
    config.hidden_dim = config.embedding_dim = 1;
    config.dropout = 0;
    EXPECT_NO_THROW(csp::validate(config));
    config.frequencies = 1024;
    config.hidden_layers = 16;
    config.hidden_dim = config.embedding_dim = 8192;
    config.dropout = std::nextafter(1.0, 0.0);
    config.image_dim = 65536;
    config.class_count = 1000000;
    EXPECT_NO_THROW(csp::validate(config));
}

TEST(Config, UnknownEncodingIsAnUndefinedObject) {
    ModelConfig config;
    config.position_encoding = "gird";
    expect_error(ErrorKind::undefined_object, [&] { csp::validate(config); });
}

ModelConfig unusual_config() {
    ModelConfig config;
    config.position_encoding = "sphereC+";
    config.frequencies = 17;
    config.min_radius = 0.1;  // not a binary fraction
    config.max_radius = std::nextafter(1.0 / 3.0 + 57, 100.0);
    config.frequency_list = csp::FrequencyList::random;
    config.extent = {-10.1, 20, 30, 40};
    config.anchors = 9;
    config.kernel_size = 0.7;
    config.degrees = 12;
    config.harmonics = csp::Harmonics::analytic;
    config.wrap_features = csp::WrapFeatures::encode_none;
    config.published_defects = config.dates = config.diagonal_projection = true;
    config.network = csp::NetworkKind::siren;
    config.siren_first_omega = 29.9;
    config.siren_omega = 1.1;
    config.hidden_layers = 3;
    config.hidden_dim = 33;
    config.embedding_dim = 5;
    config.activation = csp::Activation::gelu;
    config.skip_connection = config.layer_norm = config.activate_embedding = false;
    config.dropout = 0.3;
    config.image_dim = 7;
    config.class_count = 11;
    config.class_head = csp::ClassHead::softmax;
    config.class_bias = true;
    return config;
}

TEST(Config, MetadataRoundTripIsExact) {
    const ModelConfig config = unusual_config();
    const ModelConfig back = csp::config_from_metadata(csp::config_to_metadata(config));
    EXPECT_EQ(back.position_encoding, config.position_encoding);
    EXPECT_EQ(back.frequencies, config.frequencies);
    EXPECT_EQ(back.min_radius, config.min_radius);
    EXPECT_EQ(back.max_radius, config.max_radius);
    EXPECT_EQ(back.hidden_layers, config.hidden_layers);
    EXPECT_EQ(back.hidden_dim, config.hidden_dim);
    EXPECT_EQ(back.embedding_dim, config.embedding_dim);
    EXPECT_EQ(back.activation, config.activation);
    EXPECT_EQ(back.skip_connection, config.skip_connection);
    EXPECT_EQ(back.layer_norm, config.layer_norm);
    EXPECT_EQ(back.activate_embedding, config.activate_embedding);
    EXPECT_EQ(back.dropout, config.dropout);
    EXPECT_EQ(back.image_dim, config.image_dim);
    EXPECT_EQ(back.class_count, config.class_count);
    EXPECT_EQ(back.class_head, config.class_head);
    EXPECT_EQ(back.class_bias, config.class_bias);
    EXPECT_EQ(csp::config_to_metadata(back), csp::config_to_metadata(config));
}

TEST(Config, ExtentAsText) {
    for (const char *text : {"-180, 180, -90, 90", "[-180,180,-90,90]", " [ -180 180 -90 90 ] ", "-1.8e2,180,-9e1,90"})
        EXPECT_EQ(csp::to_string(csp::extent_from_string(text)), "-180, 180, -90, 90") << text;
    for (const char *text : {"", "-180, 180, -90", "1, 2, 3, 4, 5", "a, b, c, d", "-180; 180; -90; 90", "1, 2, 3, 4x"})
        expect_error(ErrorKind::invalid_parameter, [&] { csp::extent_from_string(text); }, text);
}

TEST(Config, MetadataMustBeComplete) {
    const auto metadata = csp::config_to_metadata(unusual_config());
    EXPECT_EQ(metadata.size(), 29u);
    for (const auto &[key, value] : metadata) {
        auto incomplete = metadata;
        incomplete.erase(key);
        expect_error(ErrorKind::data_corrupted, [&] { csp::config_from_metadata(incomplete); }, key);
    }
}

TEST(Config, LaterKeysMayBeMissing) {
    ModelConfig config = unusual_config();
    EXPECT_EQ(csp::config_to_metadata(config).count("image_side"), 0u);
    EXPECT_EQ(csp::config_to_metadata(config).count("user_count"), 0u);
    config.image_side = csp::ImageSide::location_decoder;
    config.user_count = 12;
    auto metadata = csp::config_to_metadata(config);
    EXPECT_EQ(metadata.at("image_side"), "location_decoder");
    EXPECT_EQ(csp::config_from_metadata(metadata).image_side, csp::ImageSide::location_decoder);
    EXPECT_EQ(csp::config_from_metadata(metadata).user_count, 12);
    metadata["image_side"] = "image_projection";
    EXPECT_EQ(csp::config_from_metadata(metadata).image_side, csp::ImageSide::image_projection);
    for (const char *text : {"", "projection", "1"}) {
        metadata["image_side"] = text;
        expect_error(ErrorKind::data_corrupted, [&] { csp::config_from_metadata(metadata); }, text);
    }
    metadata.erase("image_side");
    for (const char *text : {"", "-1", "1.5", "99999999999"}) {
        metadata["user_count"] = text;
        expect_error(ErrorKind::data_corrupted, [&] { csp::config_from_metadata(metadata); }, text);
    }
}

TEST(Config, MalformedMetadataIsRejected) {
    const auto metadata = csp::config_to_metadata(unusual_config());
    for (const auto &[key, value] : metadata)
        for (const char *text : {"", " ", "1x", "12 ", "0x10", "99999999999", "nan", "inf", "1e999", "True", "-5"}) {
            auto malformed = metadata;
            malformed[key] = text;
            expect_error(ErrorKind::data_corrupted, [&] { csp::config_from_metadata(malformed); }, key + "=" + text);
        }
}

}  // namespace
