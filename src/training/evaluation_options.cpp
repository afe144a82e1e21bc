// The table of options of an evaluation.
#include "evaluation_options.h"

#include "../encoder/error.h"
#include "options_table.h"

namespace csp {
namespace {

using Options = EvaluationOptions;
using Table = OptionTable<Options>;

#define FIELD(type, member) [](Options &o) -> type & { return o.member; }

const Table &table() {
    static const Table options = {{
        {"per_class", "", Table::BooleanField{FIELD(bool, per_class)}, "figures of each class too"},
        {"bins", "", Table::IntegerField{FIELD(int, bins), 1, 100}, "bins of the reliability diagram"},
        {"bootstrap", "", Table::IntegerField{FIELD(int, bootstrap), 0, 10000},
         "resamples of the bootstrap; 0: no intervals"},
        {"confidence", "", Table::NumberField{FIELD(double, confidence), 0.5, 0.999}, "confidence of the intervals"},
        {"block_size", "", Table::NumberField{FIELD(double, block_size), 0, 20000},
         "size of spatial blocks: degrees of squares, km between the centres of hexagons; 0: none"},
        {"block_shape", "",
         Table::WordField{[] { return std::string("square, hexagon"); },
                          [](const Options &o) { return std::string(to_string(o.block_shape)); },
                          [](Options &o, const std::string &w) { o.block_shape = block_shape_from_string(w); }},
         "shape of spatial blocks"},
        {"folds", "", Table::IntegerField{FIELD(int, folds), 0, 100}, "folds of whole spatial blocks; 0: none"},
        {"unknown_labels", "",
         Table::WordField{[] { return std::string("wrong, skip"); },
                          [](const Options &o) { return std::string(to_string(o.unknown_labels)); },
                          [](Options &o, const std::string &w) {
                              o.unknown_labels =
                                  word_to_enum(w, {UnknownLabels::wrong, UnknownLabels::skip}, "unknown_labels");
                          }},
         "rows with a label that the model does not know"},
        {"missing_locations", "",
         Table::WordField{[] { return std::string("skip, image"); },
                          [](const Options &o) { return std::string(to_string(o.missing_locations)); },
                          [](Options &o, const std::string &w) {
                              o.missing_locations =
                                  word_to_enum(w, {MissingLocations::skip, MissingLocations::image}, "missing_locations");
                          }},
         "rows without a place"},
        {"observed_at", "",
         Table::WordField{column_name_range, [](const Options &o) { return o.observed_at; },
                          [](Options &o, const std::string &w) { o.observed_at = checked_column_name(w, "observed_at"); }},
         "column of the source that tells when a row was observed"},
        {"retrieval_rows", "", Table::IntegerField{FIELD(int, retrieval_rows), 0, 100000},
         "rows, drawn at random, whose image is looked up among places; 0: none"},
        {"gallery", "",
         Table::WordField{[] { return std::string("a table, a view or a SELECT"); },
                          [](const Options &o) { return o.gallery; }, [](Options &o, const std::string &w) { o.gallery = w; }},
         "places to look images up among; those of the images without"},
        {"gallery_rows", "", Table::IntegerField{FIELD(int, gallery_rows), 1, 1000000},
         "places of the gallery, drawn at random"},
        {"seed", "", Table::SeedField{FIELD(int64_t, seed)}, "seed of every random choice"},
    }};
    return options;
}

#undef FIELD

}  // namespace

const char *to_string(UnknownLabels value) { return value == UnknownLabels::wrong ? "wrong" : "skip"; }

const char *to_string(MissingLocations value) { return value == MissingLocations::skip ? "skip" : "image"; }

std::vector<OptionDescription> describe_evaluation_options() { return table().describe(); }

void set_options(EvaluationOptions &options, const std::vector<OptionValue> &values) {
    for (const OptionValue &value : values) table().set(options, value.name, value.kind, value.text);
    if (options.block_size > 0) SpatialBlocks(options.block_shape, options.block_size);
    if (options.folds > 0 && options.block_size == 0) {
        throw Error(ErrorKind::invalid_parameter, "folds are made of spatial blocks, and there are none",
                    "Option block_size is not set.",
                    "Give block_size in degrees, or in km with \"block_shape\": \"hexagon\".");
    }
    if (options.folds == 1)
        throw Error(ErrorKind::invalid_parameter, "value 1 is out of range for option \"folds\"",
                    "The range is 2 to 100, or 0 for none.");
}

}  // namespace csp
