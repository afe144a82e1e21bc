// From tuples to rows of an evaluation.
#include "evaluate_rows.h"

#include "arrays.h"
#include "dates.h"
#include "geometry.h"
#include "spi.h"

namespace csp::server {

namespace {

constexpr long rows_per_fetch = 1000;

// A slice of wide rows must not take much more memory than one of narrow ones.
long rows_of_a_fetch(const TrainingQuery &query, const Model &model) {
    constexpr long most_floats = 2 * 1024 * 1024;
    const long width = (query.has_features ? model.config().image_dim : 0) +
                       (query.has_image_probabilities ? model.config().class_count : 0) + 1;
    return std::max(16L, std::min(rows_per_fetch, most_floats / width));
}

// Where an error is about: "the source", "the gallery".
template <typename Row>
void with_row_number(int64_t number, const char *where, Row &&row) {
    auto detail_of = [&](const Error &error) {
        const std::string place = "Row " + std::to_string(number) + " of " + where + ".";
        return error.detail().empty() ? place : error.detail() + " " + place;
    };
    try {
        row();
    } catch (const SqlError &error) {
        throw SqlError(error.sqlstate(), error.message(), detail_of(error), error.hint());
    } catch (const Error &error) {
        throw Error(error.kind(), error.message(), detail_of(error), error.hint());
    }
}

// The columns of a row of a TrainingQuery.
struct Columns {
    Datum values[6];
    bool nulls[6];

    Columns(HeapTuple tuple, TupleDesc descriptor) { heap_deform_tuple(tuple, descriptor, values, nulls); }
};
enum { column_location, column_features, column_label, column_date, column_observer, column_image_probabilities };

std::optional<LonLat> place_of(const Columns &columns) {
    return columns.nulls[column_location] ? std::nullopt : location_from_datum(columns.values[column_location]);
}

std::optional<float> date_of(const Columns &columns) {
    if (columns.nulls[column_date])
        return std::nullopt;
    return part_of_year(DatumGetTimestampTz(columns.values[column_date]));
}

// place and label: what the row points to.
EvaluationRow row_of(const Columns &columns, const TrainingQuery &query, const Model &model, std::optional<LonLat> &place,
                     std::string &label) {
    place = place_of(columns);
    EvaluationRow row;
    if (place)
        row.lonlat = &place->lon;
    row.date = date_of(columns);
    if (query.has_features && !columns.nulls[column_features])
        row.features = features_from_datum(columns.values[column_features], model.config().image_dim).values;
    if (query.has_image_probabilities && !columns.nulls[column_image_probabilities])
        row.image_probabilities =
            probabilities_from_datum(columns.values[column_image_probabilities], model.config().class_count);
    if (query.has_label && !columns.nulls[column_label]) {
        auto *value = server_call([&] { return DatumGetTextPP(columns.values[column_label]); });
        label.assign(VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value));
        row.label = &label;
    }
    return row;
}

}  // namespace

void read_evaluation_rows(const TrainingQuery &query, const Model &model, Evaluation &evaluation) {
    int64_t number = 0;
    std::string label;
    spi_scan(
        query.sql, rows_of_a_fetch(query, model),
        [&](HeapTuple tuple, TupleDesc descriptor) {
            ++number;
            std::optional<LonLat> place;
            EvaluationRow row;
            with_row_number(number, "the source",
                            [&] { row = row_of(Columns(tuple, descriptor), query, model, place, label); });
            evaluation.add(row);
        },
        [] { check_for_interrupts(); });
}

void read_gallery(const TrainingQuery &query, const Model &model, Evaluation &evaluation) {
    int64_t number = 0;
    spi_scan(
        query.sql, rows_per_fetch,
        [&](HeapTuple tuple, TupleDesc descriptor) {
            ++number;
            with_row_number(number, "the gallery", [&] {
                const Columns columns(tuple, descriptor);
                const std::optional<LonLat> place = place_of(columns);
                const std::optional<float> date = date_of(columns);
                if (place && (date || !model.config().dates))
                    evaluation.add_place(&place->lon, date.value_or(0));
            });
        },
        [] { check_for_interrupts(); });
}

}  // namespace csp::server
