// SPI as C++ uses it.
#include "spi.h"

#include "catalog.h"
#include "catalog_version.h"

namespace csp::server {

SpiArguments &SpiArguments::add(Oid type, Datum value, bool is_null) {
    types_.push_back(type);
    values_.push_back(value);
    nulls_.push_back(is_null ? 'n' : ' ');
    return *this;
}

SpiArguments &SpiArguments::add(const std::string &value) { return add(value.c_str()); }

SpiArguments &SpiArguments::add(const char *value) {
    if (value == nullptr)
        return add_null(TEXTOID);
    return add(TEXTOID, server_call([value] { return CStringGetTextDatum(value); }));
}

SpiArguments &SpiArguments::add_nan_as_null(double value) {
    return std::isnan(value) ? add_null(FLOAT8OID) : add(value);
}

SpiArguments &SpiArguments::add_bytes(const char *bytes, std::size_t size) {
    return add(BYTEAOID, server_call([bytes, size] {
                   auto *copy = static_cast<bytea *>(palloc(VARHDRSZ + size));
                   SET_VARSIZE(copy, VARHDRSZ + size);
                   std::memcpy(VARDATA(copy), bytes, size);
                   return PointerGetDatum(copy);
               }));
}

Datum SpiRows::datum(uint64 row, int column, bool &is_null) const {
    return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &is_null);
}

bool SpiRows::is_null(uint64 row, int column) const {
    bool null;
    datum(row, column, null);
    return null;
}

std::string SpiRows::text(uint64 row, int column) const {
    char *value = server_call([&] { return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column); });
    return value ? std::string(value) : std::string();
}

int64 SpiRows::bigint(uint64 row, int column) const {
    bool null;
    Datum value = datum(row, column, null);
    return null ? 0 : DatumGetInt64(value);
}

int32 SpiRows::integer(uint64 row, int column) const {
    bool null;
    Datum value = datum(row, column, null);
    return null ? 0 : DatumGetInt32(value);
}

SpiRows spi_execute(const char *sql, SpiArguments arguments, bool read_only, long limit) {
    server_call([&] {
        int result = SPI_execute_with_args(sql, arguments.count(), arguments.types(), arguments.values(),
                                           arguments.nulls(), read_only, limit);
        if (result < 0)
            elog(ERROR, "SPI_execute_with_args failed: %s", SPI_result_code_string(result));
    });
    return {};
}

CatalogOwnerIdentity::CatalogOwnerIdentity() {
    require_current_catalog();
    Oid owner = catalog_owner();
    GetUserIdAndSecContext(&user_, &context_);
    SetUserIdAndSecContext(owner, context_ | SECURITY_LOCAL_USERID_CHANGE);
}

}  // namespace csp::server
