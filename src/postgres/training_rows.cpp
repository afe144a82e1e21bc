// Reading of training rows: a cursor in slices, so that a cancel is answered meanwhile.
#include "training_rows.h"

#include "arrays.h"
#include "batch_size_advice.h"
#include "background_worker.h"
#include "dates.h"
#include "feature_file.h"
#include "geometry.h"
#include "spi.h"

#include "../training/validation_rows.h"

#include <algorithm>

namespace csp::server {

namespace {

constexpr long rows_per_fetch = 1000;

// So much is written to the temporary file at a time.
constexpr std::size_t write_bytes = 4 * 1024 * 1024;

class Reader {
public:
    Reader(const TrainingQuery &query, const TrainingOptions &options, int64_t memory_limit)
        : query_(query), options_(options), memory_limit_(memory_limit) {}

    // One row of the query's result.
    void add(HeapTuple tuple, TupleDesc descriptor) {
        ++rows_.read;
        try {
            add_row(tuple, descriptor);
        } catch (const SqlError &error) {
            throw SqlError(error.sqlstate(), error.message(), with_row(error.detail()), error.hint());
        } catch (const Error &error) {
            throw Error(error.kind(), error.message(), with_row(error.detail()), error.hint());
        }
    }

    // From time to time: has the rows so far fit into memory.
    void limit_memory() {
        if (estimate(!file_) > memory_limit_) {
            // Only the first of several workers could read from the file.
            if (estimate(false) > memory_limit_ || options_.workers > 1)
                throw_too_large();
            file_.emplace();
        }
        if (file_ && packed_->held_bytes() >= write_bytes)
            write_features();
    }

    TrainingRows finish() {
        limit_memory();
        if (packed_)
            finish_features();
        sort_labels();
        rows_.user_count = int(user_index_.size());
        sort_by_name(user_index_, rows_.users);
        return std::move(rows_);
    }

private:
    std::string with_row(const std::string &detail) const {
        return (detail.empty() ? "" : detail + " ") + "Row " + std::to_string(rows_.read) + " of the source.";
    }

    void add_row(HeapTuple tuple, TupleDesc descriptor) {
        bool no_location, no_features, no_label, no_date, no_observer;
        Datum location = SPI_getbinval(tuple, descriptor, 1, &no_location);
        Datum features = SPI_getbinval(tuple, descriptor, 2, &no_features);
        Datum label = SPI_getbinval(tuple, descriptor, 3, &no_label);
        Datum date = SPI_getbinval(tuple, descriptor, 4, &no_date);
        Datum observer = SPI_getbinval(tuple, descriptor, 5, &no_observer);

        std::optional<LonLat> place;
        if (!no_location)
            place = location_from_datum(location);
        if (!place) {
            ++rows_.skipped_location;
            return;
        }
        if (query_.has_features && no_features) {
            ++rows_.skipped_features;
            return;
        }
        if (query_.has_date && no_date) {
            ++rows_.skipped_date;
            return;
        }
        if (query_.has_date)
            rows_.dates.push_back(part_of_year(DatumGetTimestampTz(date)));
        if (query_.has_features)
            add_features(features);
        if (query_.has_observer)
            rows_.users.push_back(no_observer ? -1 : number_of(observer, user_index_));
        rows_.lonlat.push_back(place->lon);
        rows_.lonlat.push_back(place->lat);
        rows_.classes.push_back(no_label ? -1 : number_of(label, class_index_));
        rows_.unlabelled += no_label;
    }

    void add_features(Datum value) {
        int expected = rows_.classes.empty() ? -1 : rows_.image_dim;
        FeatureSpan features = features_from_datum(value, expected);
        if (features.length == 0)
            throw SqlError(ERRCODE_DATA_EXCEPTION, "features must not be an empty array");
        rows_.image_dim = features.length;
        if (!packed_)
            packed_.emplace(options_.feature_storage, features.length);
        packed_->append(features.values);
    }

    void write_features() {
        packed_->drain([this](const char *bytes, std::size_t size) {
            file_->write(bytes, size);
            check_for_interrupts();
        });
        rows_.streamed_bytes = file_->size();
    }

    void finish_features() {
        if (file_)
            write_features();
        rows_.features = file_ ? features_on_file(file_->finish(), std::move(*packed_)) : features_in_memory(std::move(*packed_));
    }

    using Index = std::map<std::string, int32_t>;

    // Numbers texts as they come.
    static int32_t number_of(Datum value, Index &index) {
        auto *text_value = server_call([value] { return DatumGetTextPP(value); });
        std::string name(VARDATA_ANY(text_value), VARSIZE_ANY_EXHDR(text_value));
        return index.emplace(std::move(name), int32_t(index.size())).first->second;
    }

    // Position features, which a run can do without, are not counted.
    int64_t estimate(bool features_in_memory) const { return estimate(options_, features_in_memory); }

    int64_t estimate(const TrainingOptions &options, bool features_in_memory) const {
        return estimate_memory(options, int64_t(rows_.classes.size()), rows_.image_dim, int(class_index_.size()),
                               int(user_index_.size()), {features_in_memory, false});
    }

    std::string batch_size_that_fits() const {
        return advice_on_batch_size(options_, query_.has_features, query_.has_label, int64_t(rows_.classes.size()), memory_limit_,
                                    [&](const TrainingOptions &tried) { return estimate(tried, false); });
    }

    [[noreturn]] void throw_too_large() const {
        throw Error(ErrorKind::out_of_memory, "the training run does not fit into csp.training_memory",
                    "It would need about " + std::to_string(estimate(options_.workers > 1) >> 20) + " MB for the first " +
                        std::to_string(rows_.read) + " rows" +
                        (packed_ && options_.workers == 1 ? ", with their features in a temporary file." : "."),
                    options_.workers > 1 ? "Raise csp.training_memory, or train with one worker, which can read features from a temporary file."
                                         : "Raise csp.training_memory, or train on fewer rows. " + batch_size_that_fits());
    }

    void sort_labels() {
        for (const auto &[label, index] : class_index_)
            rows_.labels.push_back(label);
        sort_by_name(class_index_, rows_.classes);
        rows_.label_rows.assign(rows_.labels.size(), 0);
        for (int32_t index : rows_.classes)
            if (index >= 0)
                ++rows_.label_rows[index];
    }

    // Numbers in byte order of the names: a matter of the data alone.
    static void sort_by_name(const Index &index, std::vector<int32_t> &numbers) {
        std::vector<int32_t> position(index.size());
        int32_t next = 0;
        for (const auto &[name, number] : index)
            position[number] = next++;
        for (int32_t &number : numbers)
            number = number < 0 ? number : position[number];
    }

    const TrainingQuery &query_;
    const TrainingOptions &options_;
    int64_t memory_limit_;
    TrainingRows rows_;
    std::optional<PackedRows> packed_;  // features: all of them, or those not yet in the file
    std::optional<FeatureFile> file_;
    Index class_index_;
    Index user_index_;
};

void read_all(const TrainingQuery &query, Reader &reader) {
    spi_scan(
        query.sql, rows_per_fetch, [&](HeapTuple tuple, TupleDesc descriptor) { reader.add(tuple, descriptor); },
        [&] {
            reader.limit_memory();
            check_for_worker_interrupts();
        });
}

}  // namespace

TrainingRows read_training_rows(const TrainingQuery &query, const TrainingOptions &options, int64_t memory_limit) {
    Reader reader(query, options, memory_limit);
    with_spi([&] { read_all(query, reader); });
    TrainingRows rows = reader.finish();
    rows.validation = draw_validation_rows(rows.lonlat, rows.classes, options);
    return rows;
}

TrainingData TrainingRows::data(const TrainingQuery &query) const {
    TrainingData data;
    data.rows = classes.size();
    data.lonlat = lonlat.data();
    data.features = features;
    data.image_dim = image_dim;
    data.classes = query.has_label ? classes.data() : nullptr;
    data.class_count = query.has_label ? int(labels.size()) : 0;
    data.dates = query.has_date ? dates.data() : nullptr;
    data.users = query.has_observer ? users.data() : nullptr;
    data.user_count = query.has_observer ? user_count : 0;
    data.validation = validation.data();
    data.labels = &labels;
    return data;
}

int64_t TrainingRows::feature_bytes(const TrainingOptions &options) const {
    return streamed_bytes > 0 ? 0 : int64_t(classes.size()) * image_dim * int64_t(feature_size(options.feature_storage));
}

int64_t TrainingRows::estimate(const TrainingOptions &options, bool keep_position_features) const {
    return estimate_memory(options, int64_t(classes.size()), image_dim, int(labels.size()), user_count,
                           {streamed_bytes == 0, keep_position_features});
}

}  // namespace csp::server
