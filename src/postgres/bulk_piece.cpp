// One piece of a bulk job.
#include "bulk_piece.h"

#include "spi.h"
#include "training_wait.h"

namespace csp::server {

namespace {

constexpr int attempts = 10;
constexpr long pause_milliseconds = 50;
constexpr int examples_shown = 3;

bool may_succeed_next_time(const ServerError &error) {
    int sqlstate = error.data()->sqlerrcode;
    return sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED || sqlstate == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

bool is_second_row_of_a_key(const ServerError &error) {
    const ErrorData *data = error.data();
    return data->sqlerrcode == ERRCODE_CARDINALITY_VIOLATION && data->message_id != nullptr &&
           std::strstr(data->message_id, "cannot affect row a second time") != nullptr;
}

// "id 7: latitude 95 is beyond 90 degrees"
std::string describe_row(const SpiRows &rows, uint64 row, const std::vector<std::string> &label) {
    std::string text;
    for (std::size_t i = 0; i < label.size(); ++i)
        text += (i ? ", " : "") + label[i] + " " + rows.text(row, int(i) + 2);
    return text + ": " + rows.text(row, 1);
}

// Results of the statement, which has been executed: a row each, or none at all (pruning).
PieceResult read_results(const SpiRows &rows, const std::vector<std::string> &label) {
    PieceResult result;
    result.tally.rows = int64(rows.count());
    for (uint64 i = 0; SPI_tuptable != nullptr && i < rows.count(); ++i) {
        if (rows.is_null(i, 1))
            continue;
        if (result.tally.invalid++ < examples_shown)
            result.examples += (result.examples.empty() ? "" : "; ") + describe_row(rows, i, label);
    }
    return result;
}

PieceResult execute(const std::string &statement, const std::vector<std::string> &label) {
    try {
        return with_spi([&] { return read_results(spi_execute(statement.c_str()), label); });
    } catch (const ServerError &error) {
        if (is_second_row_of_a_key(error))
            throw SqlError(ERRCODE_CARDINALITY_VIOLATION, "the key is not unique in the source",
                           "Several rows of the source have the same key.",
                           "Name the columns that tell its rows apart with the argument key.");
        throw;
    }
}

}  // namespace

PieceResult execute_piece(const std::string &statement, const std::vector<std::string> &label, int64 run, BulkPhase phase,
                          const TransactionControl &transactions) {
    for (int attempt = 1;; ++attempt) {
        try {
            PieceResult result;
            prepare_transaction();
            in_subtransaction([&] {
                result = execute(statement, label);
                record_piece(run, phase, result.tally);
            });
            transactions.commit();
            return result;
        } catch (const ServerError &error) {
            if (attempt == attempts || !may_succeed_next_time(error))
                throw;
            transactions.roll_back();
            sleep_on_latch(attempt * pause_milliseconds);  // lets the others have the rows first
            check_for_interrupts();
        }
    }
}

}  // namespace csp::server
