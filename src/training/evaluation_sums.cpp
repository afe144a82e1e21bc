// Figures from sums, and their intervals.
#include "evaluation_sums.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "options_table.h"

namespace csp {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

// What is summed over the rows of a group; three more for each bin: rows, confidences, hits.
enum Sum { row_count, hits_1, hits_3, hits_5, hits_10, reciprocal_ranks, known_rows, log_losses, first_bin };
constexpr std::size_t ranks[] = {1, 3, 5, 10};

// The figures that are made of them, in the order of the result; two more for each bin: accuracy, confidence.
enum Value { top1, top3, top5, top10, mrr, log_loss, macro, ece, first_bin_value };
const char *const metric_names[] = {"top1", "top3", "top5", "top10", "mrr", "log_loss", "macro_accuracy", "ece"};

// A probability of 0 would cost infinitely much.
constexpr double least_probability = 1e-12;

// Entries of the table of classes and groups: beyond it, several groups share one.
constexpr int most_class_counts = 1 << 20;
constexpr int least_class_groups = 16;

double ratio(double a, double b) { return b > 0 ? a / b : none; }

std::size_t sums_width(int bins) { return static_cast<std::size_t>(first_bin + 3 * bins); }

// What there is without bins.
void add_rank(double *sums, const Outcome &outcome, bool known) {
    sums[row_count] += 1;
    if (!known) return;
    for (std::size_t i = 0; i < std::size(ranks); ++i) sums[hits_1 + i] += outcome.rank <= ranks[i];
    sums[reciprocal_ranks] += 1 / static_cast<double>(outcome.rank);
    sums[known_rows] += 1;
    sums[log_losses] -= std::log(std::max(outcome.probability, least_probability));
}

void add_outcome(double *sums, const Outcome &outcome, bool known, int bins) {
    add_rank(sums, outcome, known);
    const int bin = std::clamp(static_cast<int>(outcome.confidence * bins), 0, bins - 1);
    double *of_bin = sums + first_bin + 3 * bin;
    of_bin[0] += 1;
    of_bin[1] += outcome.confidence;
    of_bin[2] += outcome.rank == 1;
}

// All but macro accuracy.
std::vector<double> values_of(const double *sums, int bins) {
    const double rows = sums[row_count];
    std::vector<double> values(static_cast<std::size_t>(first_bin_value + 2 * bins), none);
    for (int i = 0; i < 4; ++i) values[top1 + i] = ratio(sums[hits_1 + i], rows);
    values[mrr] = ratio(sums[reciprocal_ranks], rows);
    values[log_loss] = ratio(sums[log_losses], sums[known_rows]);
    double gaps = 0;
    for (int bin = 0; bin < bins; ++bin) {
        const double *of_bin = sums + first_bin + 3 * bin;
        gaps += std::fabs(of_bin[2] - of_bin[1]);
        values[first_bin_value + 2 * bin] = ratio(of_bin[2], of_bin[0]);
        values[first_bin_value + 2 * bin + 1] = ratio(of_bin[1], of_bin[0]);
    }
    values[ece] = ratio(gaps, rows);
    return values;
}

int64_t rows_of(const double *sums, int value) {
    if (value >= first_bin_value) return std::llround(sums[first_bin + 3 * ((value - first_bin_value) / 2)]);
    return std::llround(sums[value == log_loss || value == macro ? known_rows : row_count]);
}

// "0.2-0.267".
std::string bin_name(int bin, int bins) {
    auto edge = [bins](int i) { return number_text(std::round(1000.0 * i / bins) / 1000); };
    return edge(bin) + "-" + edge(bin + 1);
}

// The mean of the accuracies of classes, those without rows left out.
struct MacroMean {
    double sum = 0, classes = 0;

    void add(uint64_t rows, uint64_t hits) {
        if (rows == 0) return;
        sum += static_cast<double>(hits) / static_cast<double>(rows);
        classes += 1;
    }
    double value() const { return ratio(sum, classes); }
};

// Group `group` of 1,024 among fewer.
int coarse_group(int group, int groups) { return group % groups; }

}  // namespace

// weights: of the groups; null for one each.
double ScopeSums::macro_accuracy(const std::vector<ClassCount> &counts, const std::vector<uint32_t> *weights) {
    MacroMean mean;
    for (std::size_t i = 0; i < counts.size();) {
        uint64_t rows = 0, hits = 0;
        for (const int truth = counts[i].truth; i < counts.size() && counts[i].truth == truth; ++i) {
            const uint64_t weight = weights ? (*weights)[static_cast<std::size_t>(counts[i].group)] : 1;
            rows += weight * counts[i].rows;
            hits += weight * counts[i].hits;
        }
        mean.add(rows, hits);
    }
    return mean.value();
}

void ScopeSums::ClassCounts::resize(int class_count, int group_count) {
    classes = static_cast<std::size_t>(class_count);
    groups = group_count;
    counts.assign(classes * static_cast<std::size_t>(groups), Count{0, 0});
}

void ScopeSums::ClassCounts::add(int group, int truth, bool hit) {
    const auto of_group = static_cast<std::size_t>(coarse_group(group, groups));
    Count &count = counts[of_group * classes + static_cast<std::size_t>(truth)];
    ++count.rows;
    count.hits += hit;
}

double ScopeSums::ClassCounts::macro_accuracy(int group) const {
    MacroMean mean;
    const Count *of_group = counts.data() + static_cast<std::size_t>(group) * classes;
    for (std::size_t i = 0; i < classes; ++i) mean.add(of_group[i].rows, of_group[i].hits);
    return mean.value();
}

ScopeSums::ScopeSums(const EvaluationOptions &options, int classes)
    : options_(options), classes_(classes), width_(sums_width(options.bins)) {
    const int groups = options.bootstrap > 0 ? bootstrap_groups : 1;
    sums_.assign(static_cast<std::size_t>(groups) * width_, 0);
    counts_.resize(classes, std::min(groups, std::max(least_class_groups, most_class_counts / std::max(classes, 1))));
    if (options.folds > 0) {
        folds_.assign(static_cast<std::size_t>(options.folds) * width_, 0);
        fold_counts_.resize(classes, options.folds);
    }
    if (options.per_class) by_class_.assign(static_cast<std::size_t>(classes) * sums_width(0), 0);
}

void ScopeSums::add(const RowPlace &place, int truth, const Outcome &outcome) {
    const bool known = truth >= 0, hit = outcome.rank == 1;
    add_outcome(group_sums(place.group), outcome, known, options_.bins);
    if (known) counts_.add(place.group, truth, hit);
    if (place.fold > 0) {
        const int fold = place.fold - 1;
        add_outcome(&folds_[static_cast<std::size_t>(fold) * width_], outcome, known, options_.bins);
        if (known) fold_counts_.add(fold, truth, hit);
    }
    if (known && options_.per_class) add_rank(&by_class_[static_cast<std::size_t>(truth) * sums_width(0)], outcome, known);
}

// The values of all resamples, a list for each figure; empty without a bootstrap.
struct ScopeSums::Spread {
    std::vector<std::vector<double>> values;

    void add(const std::vector<double> &resampled) {
        values.resize(resampled.size());
        for (std::size_t i = 0; i < resampled.size(); ++i) values[i].push_back(resampled[i]);
    }

    Interval interval(int value, double confidence) const {
        return values.empty() ? Interval{none, none} : percentile_interval(values[static_cast<std::size_t>(value)], confidence);
    }
};

// Of all groups, once each without weights.
std::vector<double> ScopeSums::total(const std::vector<uint32_t> *weights) const {
    std::vector<double> sums(width_, 0);
    for (std::size_t first = 0, group = 0; first < sums_.size(); first += width_, ++group) {
        const double weight = weights ? (*weights)[group] : 1;
        if (weight == 0) continue;
        for (std::size_t i = 0; i < width_; ++i) sums[i] += weight * sums_[first + i];
    }
    return sums;
}

// By class.
std::vector<ScopeSums::ClassCount> ScopeSums::class_counts() const {
    std::vector<ClassCount> counts;
    for (int truth = 0; truth < classes_; ++truth)
        for (int group = 0; group < counts_.groups; ++group) {
            const Count &count = counts_.counts[static_cast<std::size_t>(group) * counts_.classes + static_cast<std::size_t>(truth)];
            if (count.rows > 0) counts.push_back({truth, group, count.rows, count.hits});
        }
    return counts;
}

ScopeSums::Spread ScopeSums::resample(const Check &check) const {
    Spread spread;
    std::vector<int> used, used_coarse;
    for (std::size_t group = 0; group * width_ < sums_.size(); ++group)
        if (sums_[group * width_ + row_count] > 0) used.push_back(static_cast<int>(group));
    for (int group = 0; group < counts_.groups; ++group)
        if (std::any_of(used.begin(), used.end(), [&](int g) { return coarse_group(g, counts_.groups) == group; }))
            used_coarse.push_back(group);
    if (used.size() < 2) return spread;  // nothing to draw from
    const std::vector<ClassCount> counts = class_counts();
    const bool same = counts_.groups == bootstrap_groups;
    for (int i = 0; i < options_.bootstrap; ++i) {
        check();
        const std::vector<uint32_t> weights = draw_groups(used, bootstrap_groups, options_.seed, i);
        std::vector<double> values = values_of(total(&weights).data(), options_.bins);
        const std::vector<uint32_t> coarse =
            same ? weights : draw_groups(used_coarse, counts_.groups, options_.seed, i + options_.bootstrap);
        values[macro] = macro_accuracy(counts, &coarse);
        spread.add(values);
    }
    return spread;
}

void ScopeSums::add_whole(const std::string &scope, const Spread &spread, std::vector<Figure> &figures) const {
    const std::vector<double> sums = total(nullptr);
    std::vector<double> values = values_of(sums.data(), options_.bins);
    values[macro] = macro_accuracy(class_counts(), nullptr);
    for (int value = 0; value < static_cast<int>(values.size()); ++value) {
        const Interval interval = spread.interval(value, options_.confidence);
        const int bin = (value - first_bin_value) / 2;
        const bool of_bin = value >= first_bin_value;
        if (of_bin && rows_of(sums.data(), value) == 0) continue;
        const std::string metric = !of_bin ? metric_names[value]
                                           : (value - first_bin_value) % 2 == 0 ? "bin_accuracy" : "bin_confidence";
        figures.push_back({metric, scope, of_bin ? std::optional(bin_name(bin, options_.bins)) : std::nullopt,
                           values[static_cast<std::size_t>(value)], interval.low, interval.high, rows_of(sums.data(), value)});
    }
}

// Each fold, and mean and standard deviation over those that have rows.
void ScopeSums::add_folds(const std::string &scope, std::vector<Figure> &figures) const {
    std::vector<std::vector<double>> folds;
    for (int fold = 0; fold < options_.folds; ++fold) {
        const double *sums = &folds_[static_cast<std::size_t>(fold) * width_];
        folds.push_back(values_of(sums, options_.bins));
        folds.back()[macro] = fold_counts_.macro_accuracy(fold);
        for (int value = 0; value < first_bin_value; ++value)
            figures.push_back({"fold_" + std::string(metric_names[value]), scope, std::to_string(fold + 1),
                               folds.back()[static_cast<std::size_t>(value)], none, none, rows_of(sums, value)});
    }
    const std::vector<double> sums = total(nullptr);
    for (int value = 0; value < first_bin_value; ++value) {
        std::vector<double> known;
        for (const std::vector<double> &fold : folds)
            if (!std::isnan(fold[static_cast<std::size_t>(value)])) known.push_back(fold[static_cast<std::size_t>(value)]);
        double mean = 0, squares = 0;
        for (double v : known) mean += v / static_cast<double>(known.size());
        for (double v : known) squares += (v - mean) * (v - mean);
        const auto n = static_cast<double>(known.size());
        const std::string name = metric_names[value];
        const int64_t rows = rows_of(sums.data(), value);
        figures.push_back({"fold_mean_" + name, scope, std::nullopt, n > 0 ? mean : none, none, none, rows});
        figures.push_back({"fold_sd_" + name, scope, std::nullopt, n > 1 ? std::sqrt(squares / (n - 1)) : none, none, none, rows});
    }
}

void ScopeSums::add_classes(const std::string &scope, const std::vector<std::string> &labels, std::vector<Figure> &figures) const {
    for (int c = 0; c < classes_; ++c) {
        const double *sums = &by_class_[static_cast<std::size_t>(c) * sums_width(0)];
        const std::vector<double> values = values_of(sums, 0);
        for (int value : {top1, top3, top5, top10, mrr, log_loss})
            figures.push_back({"class_" + std::string(metric_names[value]), scope, labels[static_cast<std::size_t>(c)],
                               values[static_cast<std::size_t>(value)], none, none, rows_of(sums, value)});
    }
}

std::vector<Figure> ScopeSums::figures(const std::string &scope, const std::vector<std::string> &labels,
                                       const Check &check) const {
    std::vector<Figure> figures;
    add_whole(scope, options_.bootstrap > 0 ? resample(check) : Spread{}, figures);
    if (options_.folds > 0) add_folds(scope, figures);
    if (options_.per_class) add_classes(scope, labels, figures);
    return figures;
}

}  // namespace csp
