// SPI as C++ uses it: statements with typed arguments, results read before SPI_finish.
#pragma once

#include "pg.h"

#include "guard.h"

namespace csp::server {

// Arguments of one statement. Values that are pointers must outlive its execution.
class SpiArguments {
public:
    SpiArguments &add(int64 value) { return add(INT8OID, Int64GetDatum(value)); }
    SpiArguments &add(int32 value) { return add(INT4OID, Int32GetDatum(value)); }
    SpiArguments &add(double value) { return add(FLOAT8OID, Float8GetDatum(value)); }
    SpiArguments &add(bool value) { return add(BOOLOID, BoolGetDatum(value)); }
    SpiArguments &add(const std::string &value);
    SpiArguments &add(const char *value);               // null pointer: NULL
    SpiArguments &add_nan_as_null(double value);
    SpiArguments &add_bytes(const char *bytes, std::size_t size);
    SpiArguments &add_null(Oid type) { return add(type, Datum(0), true); }
    SpiArguments &add(Oid type, Datum value, bool is_null = false);

    int count() const { return static_cast<int>(types_.size()); }
    Oid *types() { return types_.data(); }
    Datum *values() { return values_.data(); }
    const char *nulls() const { return nulls_.c_str(); }

private:
    std::vector<Oid> types_;
    std::vector<Datum> values_;
    std::string nulls_;
};

// Rows of the last execution, as text or as numbers. Valid until the next one.
class SpiRows {
public:
    uint64 count() const { return SPI_processed; }
    bool is_null(uint64 row, int column) const;             // columns count from 1
    Datum datum(uint64 row, int column, bool &is_null) const;
    std::string text(uint64 row, int column) const;         // output function; "" for NULL
    int64 bigint(uint64 row, int column) const;             // of a bigint column; 0 for NULL
    int32 integer(uint64 row, int column) const;            // of an integer column; 0 for NULL
};

// Executes one statement between SPI_connect and SPI_finish. read_only: under the active
// snapshot, without a new one. Throws ServerError.
SpiRows spi_execute(const char *sql, SpiArguments arguments = {}, bool read_only = false, long limit = 0);

// SPI_connect ... SPI_finish around body. An error on the way leaves both to the abort of
// the transaction, as SPI itself would.
template <typename Body>
auto with_spi(Body &&body) -> decltype(body()) {
    server_call([] { SPI_connect(); });
    if constexpr (std::is_void_v<decltype(body())>) {
        body();
        server_call([] { SPI_finish(); });
    } else {
        auto result = body();
        server_call([] { SPI_finish(); });
        return result;
    }
}

// Executes a SELECT under the active snapshot with a cursor, between SPI_connect and SPI_finish. row(tuple, descriptor) is called for
// every row, in a memory context that is emptied after each slice of so many rows, and after_slice() then.
template <typename Row, typename AfterSlice>
void spi_scan(const std::string &sql, long slice_rows, Row &&row, AfterSlice &&after_slice) {
    Portal portal = server_call([&] {
        SPIPlanPtr plan = SPI_prepare_cursor(sql.c_str(), 0, nullptr, CURSOR_OPT_NO_SCROLL);
        if (plan == nullptr)
            elog(ERROR, "SPI_prepare_cursor failed: %s", SPI_result_code_string(SPI_result));
        return SPI_cursor_open(nullptr, plan, nullptr, nullptr, true);
    });
    MemoryContext slice_context =
        server_call([] { return AllocSetContextCreate(CurrentMemoryContext, "csp rows", ALLOCSET_DEFAULT_SIZES); });
    for (;;) {
        server_call([&] { SPI_cursor_fetch(portal, true, slice_rows); });
        if (SPI_processed == 0)
            break;
        MemoryContext previous = MemoryContextSwitchTo(slice_context);
        for (uint64 i = 0; i < SPI_processed; ++i)
            row(SPI_tuptable->vals[i], SPI_tuptable->tupdesc);
        MemoryContextSwitchTo(previous);
        after_slice();
        server_call([&] {
            SPI_freetuptable(SPI_tuptable);
            MemoryContextReset(slice_context);
        });
    }
    server_call([&] {
        SPI_cursor_close(portal);
        MemoryContextDelete(slice_context);
    });
}

// While it lives, the current user is the owner of the extension's tables: for rows that
// users may see but not write. Nothing that a user wrote may run meanwhile: no functions,
// operators or casts of his. Throws where the catalogue is not of the library's version.
class CatalogOwnerIdentity {
public:
    CatalogOwnerIdentity();
    ~CatalogOwnerIdentity() { SetUserIdAndSecContext(user_, context_); }
    CatalogOwnerIdentity(const CatalogOwnerIdentity &) = delete;
    CatalogOwnerIdentity &operator=(const CatalogOwnerIdentity &) = delete;

private:
    Oid user_;
    int context_;
};

}  // namespace csp::server
