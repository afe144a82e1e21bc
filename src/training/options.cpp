// The table of training options and what is derived from it: describing, setting, listing
// and checking.
#include "options.h"

#include <algorithm>
#include <cstdio>

#include "../encoder/error.h"
#include "../encoder/position_encoding.h"
#include "options_table.h"

namespace csp {
namespace {

using Options = TrainingOptions;

using Table = OptionTable<Options>;
using IntegerField = Table::IntegerField;
using SeedField = Table::SeedField;
using NumberField = Table::NumberField;
using BooleanField = Table::BooleanField;
using WordField = Table::WordField;
using Option = Table::Option;

// A published word also leaves out the terms that its objective lacks.
void parse_objective(Options &options, const std::string &word) {
    struct PublishedWord {
        const char *word;
        Objective objective;
        bool negative_term, dropout_term;
    };
    constexpr PublishedWord published[] = {{"contsoftmax", Objective::mc, true, true},
                                           {"contsoftmaxsym", Objective::mc_symmetric, true, true},
                                           {"imgcontlosssimcse", Objective::nce, true, true},
                                           {"imgcontloss", Objective::nce, true, false},
                                           {"imgcontlossnolocneg", Objective::nce, false, false},
                                           {"l2regress", Objective::l2_regression, true, true}};
    for (const PublishedWord &p : published) {
        if (word != p.word) continue;
        options.objective = p.objective;
        if (!p.negative_term) options.weight_negative = 0;
        if (!p.dropout_term) options.weight_dropout = 0;
        return;
    }
    options.objective = word_to_enum(
        word, {Objective::mc, Objective::mc_symmetric, Objective::nce, Objective::l2_regression}, "objective");
}

Schedule parse_schedule(const std::string &word, const char *option) {
    return word_to_enum(word, {Schedule::constant, Schedule::exponential, Schedule::cosine}, option);
}

void parse_loss(Options &options, const std::string &word) {
    options.loss = word_to_enum(
        word, {SupervisedLoss::full_loss, SupervisedLoss::cross_entropy, SupervisedLoss::full_loss_user}, "loss");
}

void parse_negative_sampler(Options &options, const std::string &word) {
    options.negative_sampler =
        word_to_enum(word,
                     {NegativeSampler::area, NegativeSampler::uniform, NegativeSampler::spherical,
                      NegativeSampler::sphericalold, NegativeSampler::observed},
                     "negative_sampler");
}

void parse_precision(Options &options, const std::string &word) {
    options.precision = word_to_enum(word, {Precision::float32, Precision::bfloat16}, "precision");
}

void parse_feature_storage(Options &options, const std::string &word) {
    options.feature_storage = word_to_enum(
        word, {FeatureStorage::float32, FeatureStorage::float16, FeatureStorage::bfloat16}, "feature_storage");
}

void parse_shuffle(Options &options, const std::string &word) {
    options.shuffle = word_to_enum(word, {Shuffle::automatic, Shuffle::full, Shuffle::windows}, "shuffle");
}

bool is_cuda_ordinal(const std::string &device) {
    return device.rfind("cuda:", 0) == 0 && device.size() > 5 && device.size() <= 7 &&
           std::all_of(device.begin() + 5, device.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void parse_device(Options &options, const std::string &word) {
    if (word != "auto" && word != "cpu" && word != "cuda" && !is_cuda_ordinal(word)) {
        throw Error(ErrorKind::invalid_parameter, "invalid value for option \"device\": \"" + word + "\"", {},
                    "Use one of: auto, cpu, cuda, cuda:N (N the number of a device).");
    }
    options.device = word;
}

#define FIELD(type, member) [](Options &o) -> type & { return o.member; }

const Table &table() {
    static const Table options = {{
        // Architecture.
        {"position_encoding", "spa_enc_type, spa_enc",
         WordField{[] { return join(position_encoding_names()); },
                   [](const Options &o) { return o.model.position_encoding; },
                   [](Options &o, const std::string &w) { csp::set_position_encoding(o.model, w); }},
         "position encoding; published names are accepted too; brings its own default parameters and network"},
        {"frequencies", "frequency_num", IntegerField{FIELD(int, model.frequencies), 1, 1024},
         "number of scales of the position encoding"},
        {"min_radius", "min_radius", NumberField{FIELD(double, model.min_radius), 0, 1e6, true},
         "finest scale; a period is 2 pi times it, in degrees for grid, theory and hexagridcell, else in radians; of tile, "
         "the width of a cell in degrees"},
        {"max_radius", "max_radius", NumberField{FIELD(double, model.max_radius), 0, 1e6, true},
         "coarsest scale, in the unit of min_radius"},
        {"frequency_list", "freq_init",
         WordField{[] { return std::string("geometric, random, nerf"); },
                   [](const Options &o) { return std::string(to_string(o.model.frequency_list)); },
                   [](Options &o, const std::string &w) { o.model.frequency_list = frequency_list_from_string(w); }},
         "the scales: spread from min_radius to max_radius; frequencies drawn from 0 to max_radius; or pi 2^k"},
        {"map_range", "map_range",
         WordField{[] { return std::string("west, east, south, north"); },
                   [](const Options &o) { return to_string(o.model.extent); },
                   [](Options &o, const std::string &w) { o.model.extent = extent_from_string(w); }},
         "extent in degrees of naive, rff and tile"},
        {"anchors", "num_rbf_anchor_pts", IntegerField{FIELD(int, model.anchors), 1, 65536},
         "anchors of rbf: places of so many training rows"},
        {"kernel_size", "rbf_kernel_size", NumberField{FIELD(double, model.kernel_size), 1e-6, 1e6},
         "width of the Gaussians of rbf in degrees; variance of the directions of rff"},
        {"degrees", "legendre_poly_num", IntegerField{FIELD(int, model.degrees), 1, 100},
         "degrees L of spherical_harmonics, for L * L features"},
        {"harmonics", "",
         WordField{[] { return std::string("closed_form, analytic"); },
                   [](const Options &o) { return std::string(to_string(o.model.harmonics)); },
                   [](Options &o, const std::string &w) { o.model.harmonics = harmonics_from_string(w); }},
         "convention of spherical_harmonics, after the two tables of SatCLIP"},
        {"wrap_features", "loc_encode",
         WordField{[] { return std::string("encode_cos_sin, encode_3D, encode_none"); },
                   [](const Options &o) { return std::string(to_string(o.model.wrap_features)); },
                   [](Options &o, const std::string &w) { o.model.wrap_features = wrap_features_from_string(w); }},
         "features of wrap and wrap_ffn, after geo_prior"},
        {"published_defects", "", BooleanField{FIELD(bool, model.published_defects)},
         "behave as the published code where that does not do what the papers mean: gridcellnorm, hexagridcell, sphereM+, "
         "dfs, NeRF, tile, and the dropout twins of wrap and wrap_ffn"},
        {"network", "",
         WordField{[] { return std::string("ffn, fcnet, siren, linear, diagonal"); },
                   [](const Options &o) { return std::string(to_string(o.model.network)); },
                   [](Options &o, const std::string &w) { o.model.network = network_from_string(w); }},
         "network after the position encoding: feed-forward, residual (geo_prior), SIREN (SatCLIP), one linear layer, or "
         "one matrix a scale (theorydiag)"},
        {"siren_first_omega", "", NumberField{FIELD(double, model.siren_first_omega), 0, 1000, true},
         "frequency factor of the first layer of a SIREN"},
        {"siren_omega", "", NumberField{FIELD(double, model.siren_omega), 0, 1000, true},
         "frequency factor of the other hidden layers of a SIREN"},
        {"diagonal_projection", "spa_enc_use_postmat", BooleanField{FIELD(bool, model.diagonal_projection)},
         "a linear layer after the matrices of network diagonal"},
        {"hidden_layers", "num_hidden_layer", IntegerField{FIELD(int, model.hidden_layers), 0, 16},
         "hidden layers of the location encoder; blocks of network fcnet"},
        {"hidden_dim", "hidden_dim", IntegerField{FIELD(int, model.hidden_dim), 1, 16384}, "width of a hidden layer"},
        {"embedding_dim", "num_filts", IntegerField{FIELD(int, model.embedding_dim), 1, 16000},
         "length of an embedding"},
        {"activation", "spa_f_act",
         WordField{[] { return std::string("relu, leakyrelu, gelu, sigmoid, tanh"); },
                   [](const Options &o) { return std::string(to_string(o.model.activation)); },
                   [](Options &o, const std::string &w) { o.model.activation = activation_from_string(w); }},
         "activation function; leakyrelu has slope 0.2"},
        {"skip_connection", "skip_connection", BooleanField{FIELD(bool, model.skip_connection)},
         "add a hidden layer's input to its output where the widths agree"},
        {"layer_norm", "use_layn", BooleanField{FIELD(bool, model.layer_norm)},
         "layer normalization after each hidden layer"},
        {"activate_embedding", "", BooleanField{FIELD(bool, model.activate_embedding)},
         "activation and dropout on the embedding itself, as in the published code"},
        {"dropout", "dropout", NumberField{FIELD(double, model.dropout), 0, 0.95},
         "share of activations dropped in training"},
        {"class_bias", "", BooleanField{FIELD(bool, model.class_bias)}, "a bias a class in the class head"},
        // Stage 1.
        {"objective", "unsuper_loss",
         WordField{[] { return std::string("mc, mc_symmetric, nce, l2_regression"); },
                   [](const Options &o) { return std::string(to_string(o.objective)); }, parse_objective},
         "what pre-training asks: each place to pick its image in the batch (mc), and each image its place too "
         "(mc_symmetric), each pair to be told from others by itself (nce), or images to be predicted from places "
         "(l2_regression); published names are accepted too"},
        {"pretrain_epochs", "num_epochs_unsuper", IntegerField{FIELD(int, pretrain_epochs), 0, 1000000},
         "epochs of contrastive pre-training; 0: none"},
        {"pretrain_learning_rate", "unsuper_lr", NumberField{FIELD(double, pretrain_learning_rate), 0, 10, true},
         "learning rate of pre-training"},
        {"pretrain_schedule", "",
         WordField{
             [] { return std::string("constant, exponential, cosine"); },
             [](const Options &o) { return std::string(to_string(o.pretrain_schedule)); },
             [](Options &o, const std::string &w) { o.pretrain_schedule = parse_schedule(w, "pretrain_schedule"); }},
         "how the learning rate of pre-training falls"},
        {"pretrain_warmup", "", NumberField{FIELD(double, pretrain_warmup), 0, 0.9},
         "share of the batches of pre-training during which the learning rate rises from 0, in even steps"},
        {"temperature_in_batch", "unsuper_temp_inbatch", NumberField{FIELD(double, temperature_in_batch), 1e-3, 1e4},
         "divides the cosines of the in-batch term"},
        {"temperature_negative", "unsuper_temp_negloc", NumberField{FIELD(double, temperature_negative), 1e-3, 1e4},
         "divides the cosines of the term of random locations"},
        {"temperature_dropout", "unsuper_temp_simcse", NumberField{FIELD(double, temperature_dropout), 1e-3, 1e4},
         "divides the cosines of the dropout (SimCSE) term"},
        {"weight_in_batch", "", NumberField{FIELD(double, weight_in_batch), 0, 1e6}, "weight of the in-batch term"},
        {"weight_negative", "rand_sample_weight", NumberField{FIELD(double, weight_negative), 0, 1e6},
         "weight of the term of random locations"},
        {"weight_dropout", "simcse_weight", NumberField{FIELD(double, weight_dropout), 0, 1e6},
         "weight of the dropout (SimCSE) term"},
        {"negatives", "num_neg_rand_loc", IntegerField{FIELD(int, negatives), 1, 1000}, "random locations a sample"},
        {"negative_sampler", "neg_rand_type",
         WordField{[] { return std::string("area, uniform, spherical, sphericalold, observed"); },
                   [](const Options &o) { return std::string(to_string(o.negative_sampler)); },
                   parse_negative_sampler},
         "random locations, also of the background: uniform by area (area) or in degrees (uniform), those of training "
         "rows (observed), or as published and defective: of the north-east quarter alone (spherical), of an ellipse "
         "without the corners of the map (sphericalold)"},
        {"learn_temperature", "", BooleanField{FIELD(bool, learn_temperature)},
         "train the temperature of the in-batch term of mc and mc_symmetric, from temperature_in_batch on, down to "
         "0.01"},
        // Stage 2.
        {"epochs", "num_epochs", IntegerField{FIELD(int, epochs), 0, 1000000},
         "epochs of supervised training; 0: none"},
        {"min_steps", "", IntegerField{FIELD(int, min_steps), 0, 100000000},
         "least number of batches of supervised training: with few labelled rows more epochs are run; 0 where epochs "
         "is given"},
        {"fine_tune_batch_size", "", IntegerField{FIELD(int, fine_tune_batch_size), 2, 65536},
         "rows a batch of supervised training"},
        {"learning_rate", "lr", NumberField{FIELD(double, learning_rate), 0, 10, true},
         "learning rate of supervised training"},
        {"encoder_learning_rate", "", NumberField{FIELD(double, encoder_learning_rate), 0, 100},
         "learning rate of the location encoder in supervised training, as a factor of learning_rate; 0: frozen"},
        {"schedule", "",
         WordField{[] { return std::string("constant, exponential, cosine"); },
                   [](const Options &o) { return std::string(to_string(o.schedule)); },
                   [](Options &o, const std::string &w) { o.schedule = parse_schedule(w, "schedule"); }},
         "how the learning rate of supervised training falls"},
        {"warmup", "", NumberField{FIELD(double, warmup), 0, 0.9},
         "share of the batches of supervised training during which the learning rate rises from 0, in even steps"},
        {"loss", "train_loss",
         WordField{[] { return std::string("full_loss, cross_entropy, full_loss_user"); },
                   [](const Options &o) { return std::string(to_string(o.loss)); }, parse_loss},
         "full_loss: a sigmoid a class with random background locations, as published; cross_entropy: a softmax over "
         "the classes; full_loss_user: full_loss with an embedding of each observer (see the option observer)"},
        {"label_smoothing", "", NumberField{FIELD(double, label_smoothing), 0, 0.9},
         "share of a label's weight that cross_entropy spreads over all classes"},
        {"weight_background", "", NumberField{FIELD(double, weight_background), 0, 1e6},
         "weight of random background locations in full_loss"},
        {"positive_weight", "", NumberField{FIELD(double, positive_weight), 0, 1e6},
         "weight of the true class in full_loss; 0: the number of classes"},
        {"weight_contrastive", "", NumberField{FIELD(double, weight_contrastive), 0, 1e6},
         "weight of the pre-training objective during supervised training; 0: leave it out"},
        // Classes of images, and how they meet those of places.
        {"image_classifier", "", BooleanField{FIELD(bool, image_classifier)},
         "train a softmax regression of the classes on the image features too, after the location encoder, which it does "
         "not change: for csp_image_probabilities and csp_classify(location, features, k)"},
        {"image_epochs", "", IntegerField{FIELD(int, image_epochs), 0, 1000000},
         "epochs of the image classifier; 0: 20, or more where these have fewer than 600 batches"},
        {"image_learning_rate", "", NumberField{FIELD(double, image_learning_rate), 0, 10, true},
         "learning rate of the image classifier, which sees standardized features"},
        {"image_weight_decay", "", NumberField{FIELD(double, image_weight_decay), 0, 10},
         "L2 penalty of the image classifier"},
        {"calibration", "", BooleanField{FIELD(bool, calibration)},
         "after training, fit place_temperature, image_temperature, prior_strength and fusion_temperature to the labelled "
         "rows held out, of which it takes at least 20"},
        {"place_temperature", "", NumberField{FIELD(double, model.place_temperature), 0.01, 100},
         "divides the scores of the class head: above 1 its probabilities are less certain; calibration fits it"},
        {"image_temperature", "", NumberField{FIELD(double, model.image_temperature), 0.01, 100},
         "divides the scores of the image classifier; calibration fits it"},
        {"prior_strength", "", NumberField{FIELD(double, model.prior_strength), 0, 1000},
         "exponent of P(y | x) where it is multiplied with P(y | I): 0 leaves the place out; calibration fits it where there "
         "is an image classifier"},
        {"fusion_temperature", "", NumberField{FIELD(double, model.fusion_temperature), 0.01, 100},
         "root of the product of both: above 1 where image and place say the same; calibration fits it with prior_strength"},
        // Both stages.
        {"from_model", "",
         WordField{[] { return std::string("a model: name, or name@version"); }, [](const Options &o) { return o.from_model; },
                   [](Options &o, const std::string &w) { o.from_model = w; }},
         "model that the run goes on from: its architecture, its weights, and of its classes those that the source has; "
         "empty: the run starts anew"},
        {"batch_size", "batch_size", IntegerField{FIELD(int, batch_size), 2, 65536}, "rows a batch of pre-training"},
        {"max_rows_per_class", "max_num_exs_per_class", IntegerField{FIELD(int, max_rows_per_class), 0, 1000000000},
         "rows of a class that an epoch sees at most, drawn anew each epoch; 0: all"},
        {"balance_classes", "", BooleanField{FIELD(bool, balance_classes)},
         "every class gives as many rows to an epoch: max_rows_per_class, or the mean count where that is 0; rows "
         "are repeated where a class has fewer"},
        {"label_ratio", "train_sample_ratio", NumberField{FIELD(double, label_ratio), 0, 1, true},
         "share of each class's labels that supervised training sees, at least one; the other rows are still "
         "pre-trained on"},
        {"observer", "",
         WordField{column_name_range, [](const Options &o) { return o.observer; },
                   [](Options &o, const std::string &w) { o.observer = checked_column_name(w, "observer"); }},
         "column of the source that tells who observed a row, for loss full_loss_user; empty: none"},
        {"observed_at", "",
         WordField{column_name_range, [](const Options &o) { return o.observed_at; },
                   [](Options &o, const std::string &w) { o.observed_at = checked_column_name(w, "observed_at"); }},
         "column of the source that tells when a row was observed; empty: none"},
        {"learning_rate_decay", "lr_decay", NumberField{FIELD(double, learning_rate_decay), 0, 1, true},
         "factor an epoch of the exponential schedule"},
        {"weight_decay", "weight_decay", NumberField{FIELD(double, weight_decay), 0, 10}, "L2 penalty of all weights"},
        {"validation_fraction", "", NumberField{FIELD(double, validation_fraction), 0, 0.9},
         "share of the rows held out to validate"},
        {"validation_block_size", "", NumberField{FIELD(double, validation_block_size), 0, 20000},
         "size of spatial blocks that are held out as a whole, so that few rows to validate on have neighbours among those "
         "trained on: degrees of squares, km between the centres of hexagons; 0: single places are held out"},
        {"validation_block_shape", "",
         WordField{[] { return std::string("square, hexagon"); },
                   [](const Options &o) { return std::string(to_string(o.validation_block_shape)); },
                   [](Options &o, const std::string &w) { o.validation_block_shape = block_shape_from_string(w); }},
         "shape of the spatial blocks that are held out"},
        {"patience", "", IntegerField{FIELD(int, patience), 0, 1000000},
         "a stage ends after so many epochs without a lower validation loss; 0: it runs all its epochs"},
        {"keep_best", "", BooleanField{FIELD(bool, keep_best)},
         "a stage ends with the weights of its epoch of lowest validation loss, not of its last"},
        {"checkpoint_seconds", "", NumberField{FIELD(double, checkpoint_seconds), 0, 1e6},
         "seconds between two checkpoints, from which a run that was interrupted can be resumed; 0: none are written"},
        {"deploy", "", BooleanField{FIELD(bool, deploy)},
         "the new version is deployed; false: it waits for csp_deploy, and is queried as name@version until then"},
        {"seed", "", SeedField{FIELD(int64_t, seed)}, "seed of every random choice"},
        {"device", "device",
         WordField{[] { return std::string("auto, cpu, cuda, cuda:N"); }, [](const Options &o) { return o.device; },
                   parse_device},
         "where to compute; auto: on a CUDA device if there is one; the setting csp.device is the default"},
        {"deterministic", "", BooleanField{FIELD(bool, deterministic)},
         "the same bits from every run with the same seed also on a CUDA device, more slowly; on the CPU runs are so anyway"},
        {"threads", "", IntegerField{FIELD(int, threads), 1, 1024}, "threads that share the rows of each batch"},
        {"workers", "", IntegerField{FIELD(int, workers), 1, 64},
         "background workers that share every batch of the run, each with threads of its own and all rows in memory"},
        {"precision", "",
         WordField{[] { return std::string("float32, bfloat16"); },
                   [](const Options &o) { return std::string(to_string(o.precision)); }, parse_precision},
         "of matrix products; weights, losses and everything else are float32"},
        {"feature_storage", "",
         WordField{[] { return std::string("float32, float16, bfloat16"); },
                   [](const Options &o) { return std::string(to_string(o.feature_storage)); }, parse_feature_storage},
         "how image features are kept during a run, in memory or in a temporary file; 16 bits take half the room"},
        {"shuffle", "",
         WordField{[] { return std::string("auto, full, windows"); },
                   [](const Options &o) { return std::string(to_string(o.shuffle)); }, parse_shuffle},
         "order of an epoch's rows: wholly random (full), or random within windows of randomly chosen blocks of "
         "neighbouring rows, which a disk reads faster (windows); auto: windows from 8 GB of features on"},
    }};
    return options;
}

#undef FIELD

std::string quoted(const std::string &text) {
    std::string json = "\"";
    for (char c : text) {
        if (static_cast<unsigned char>(c) < 0x20) {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
            json += code;
            continue;
        }
        if (c == '"' || c == '\\') json += '\\';
        json += c;
    }
    return json + '"';
}

}  // namespace

TrainingOptions::TrainingOptions() {
    csp::set_position_encoding(model, "grid");
    model.frequencies = 24;
    model.hidden_layers = 2;
    model.hidden_dim = 256;
    model.embedding_dim = 256;
    model.activation = Activation::gelu;
    model.activate_embedding = true;
    model.dropout = 0.1;
    model.class_head = ClassHead::softmax;
}

const char *to_string(Objective value) {
    switch (value) {
        case Objective::mc: return "mc";
        case Objective::mc_symmetric: return "mc_symmetric";
        case Objective::nce: return "nce";
        case Objective::l2_regression: break;
    }
    return "l2_regression";
}

const char *to_string(NegativeSampler value) {
    switch (value) {
        case NegativeSampler::area: return "area";
        case NegativeSampler::uniform: return "uniform";
        case NegativeSampler::spherical: return "spherical";
        case NegativeSampler::sphericalold: return "sphericalold";
        case NegativeSampler::observed: break;
    }
    return "observed";
}

const char *to_string(Precision value) { return value == Precision::float32 ? "float32" : "bfloat16"; }

const char *to_string(FeatureStorage value) {
    switch (value) {
        case FeatureStorage::float32: return "float32";
        case FeatureStorage::float16: return "float16";
        case FeatureStorage::bfloat16: break;
    }
    return "bfloat16";
}

const char *to_string(Shuffle value) {
    switch (value) {
        case Shuffle::automatic: return "auto";
        case Shuffle::full: return "full";
        case Shuffle::windows: break;
    }
    return "windows";
}

const char *to_string(SupervisedLoss value) {
    switch (value) {
        case SupervisedLoss::full_loss: return "full_loss";
        case SupervisedLoss::cross_entropy: return "cross_entropy";
        case SupervisedLoss::full_loss_user: break;
    }
    return "full_loss_user";
}

const char *to_string(Schedule value) {
    switch (value) {
        case Schedule::constant: return "constant";
        case Schedule::exponential: return "exponential";
        case Schedule::cosine: break;
    }
    return "cosine";
}

std::vector<OptionDescription> describe_options() { return table().describe(); }

OptionDescription describe_option(const std::string &name) { return Table::describe(table().find(name)); }

void set_option(TrainingOptions &options, const std::string &name, OptionKind kind, const std::string &value) {
    table().set(options, name, kind, value);
}

void set_options(TrainingOptions &options, const std::vector<OptionValue> &values) {
    const Option *encoding = &table().find("position_encoding");
    const Option *objective = &table().find("objective");
    const Option *epochs = &table().find("epochs");
    auto brings_defaults = [&](const OptionValue &value) {
        const Option *option = &table().find(value.name);
        return option == encoding || option == objective || option == epochs;
    };
    for (const OptionValue &value : values) {
        if (!brings_defaults(value)) continue;
        set_option(options, value.name, value.kind, value.text);
        if (&table().find(value.name) == epochs) options.min_steps = 0;
    }
    for (const OptionValue &value : values)
        if (!brings_defaults(value)) set_option(options, value.name, value.kind, value.text);
}

std::vector<std::pair<std::string, std::string>> list_options(const TrainingOptions &options) {
    std::vector<std::pair<std::string, std::string>> list;
    for (const Option &option : table().options) {
        const std::string value = Table::value_text(option, options);
        list.emplace_back(option.name, Table::kind_of(option) == OptionKind::text ? quoted(value) : value);
    }
    return list;
}

void validate(const TrainingOptions &options) {
    validate(options.model);
    if (options.validation_block_size > 0) SpatialBlocks(options.validation_block_shape, options.validation_block_size);
    if (options.pretrain_epochs == 0 && options.epochs == 0) {
        throw Error(ErrorKind::invalid_parameter, "nothing to train", "Both pretrain_epochs and epochs are 0.",
                    "Set at least one of them to 1 or more.");
    }
    const bool one_term = options.objective == Objective::l2_regression;
    const bool looks_at_images = options.weight_in_batch > 0 || (options.weight_negative > 0 && !one_term);
    if ((options.pretrain_epochs > 0 || options.weight_contrastive > 0) && !looks_at_images) {
        throw Error(ErrorKind::invalid_parameter, "pre-training has no term that looks at the images",
                    one_term ? "weight_in_batch is 0, and l2_regression has no other term."
                             : "Both weight_in_batch and weight_negative are 0.",
                    "Set one of them above 0, or pretrain_epochs and weight_contrastive to 0.");
    }
    if (options.image_classifier && options.epochs == 0) {
        throw Error(ErrorKind::invalid_parameter, "an image classifier needs supervised training", "epochs is 0.",
                    "Set epochs to 1 or more, or leave image_classifier out.");
    }
    if (options.calibration && options.validation_fraction == 0) {
        throw Error(ErrorKind::invalid_parameter, "no rows are held out to calibrate on", "validation_fraction is 0.",
                    "Set validation_fraction above 0, or leave calibration out.");
    }
    if ((options.patience > 0 || options.keep_best) && options.validation_fraction == 0) {
        throw Error(ErrorKind::invalid_parameter, "no rows are held out to validate",
                    "patience and keep_best compare validation losses, and validation_fraction is 0.",
                    "Set validation_fraction above 0, or leave patience and keep_best out.");
    }
}

}  // namespace csp
