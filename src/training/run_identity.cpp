// Telling runs apart by their options and rows.
#include "run_identity.h"

#include <limits>

#include "../encoder/error.h"
#include "checksum.h"

namespace csp {
namespace {

constexpr const char *hint =
    "Bring the rows back as they were and in the same order (see ORDER BY), or train anew with csp_train.";

std::string options_text(const TrainingOptions &options) {
    std::string text;
    for (const auto &[name, value] : list_options(options)) text += name + "=" + value + "\n";
    return text;
}

// Of all that training sees of the rows.
std::string rows_checksum(const TrainingData &data) {
    Checksum sum;
    const auto add = [&](const auto *values, std::size_t width) {
        sum.add(static_cast<int64_t>(values ? width : 0));
        if (values) sum.add(values, data.rows * width * sizeof *values);
    };
    add(data.lonlat, 2);
    if (data.features) sum.add(data.features->checksum());
    add(data.classes, 1);
    add(data.dates, 1);
    add(data.users, 1);
    add(data.validation, 1);
    if (data.labels)
        for (const std::string &label : *data.labels) sum.add(label);
    return sum.text();
}

std::string initial_checksum(const TrainingData &data) {
    Checksum sum;
    if (!data.initial) return sum.text();
    for (const auto &[name, tensor] : *data.initial) {
        sum.add(name);
        sum.add(tensor.values.data(), tensor.values.size() * sizeof(float));
    }
    return sum.text();
}

[[noreturn]] void throw_other_rows(const std::string &detail) {
    throw Error(ErrorKind::invalid_data, "the rows of the source are not those that the training run began with", detail,
                hint);
}

}  // namespace

void save_run(const TrainingOptions &options, const TrainingData &data, CheckpointWriter &checkpoint) {
    checkpoint.add_text("options", options_text(options));
    checkpoint.add_integer("rows", static_cast<int64_t>(data.rows));
    checkpoint.add_text("rows_checksum", rows_checksum(data));
    checkpoint.add_text("initial_checksum", initial_checksum(data));
}

void require_same_run(const CheckpointReader &checkpoint, const TrainingOptions &options, const TrainingData &data) {
    if (checkpoint.text("options") != options_text(options))
        CheckpointReader::throw_unusable("It is of a run with other options.");
    const int64_t rows = checkpoint.integer("rows", 0, std::numeric_limits<int64_t>::max());
    if (rows != static_cast<int64_t>(data.rows))
        throw_other_rows("There were " + std::to_string(rows) + " and are now " + std::to_string(data.rows) + ".");
    if (checkpoint.text("rows_checksum") != rows_checksum(data))
        throw_other_rows("As many rows are read as then, but in another order or with other values.");
    if (checkpoint.text("initial_checksum") != initial_checksum(data))
        throw Error(ErrorKind::invalid_data, "the model that the training run went on from is another one now",
                    "Under the name \"" + options.from_model + "\" there is another version.", "Train anew with csp_train.");
}

}  // namespace csp
