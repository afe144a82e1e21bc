// Storing and loading of checkpoints.
#include "training_checkpoint.h"

#include "spi.h"

namespace csp::server {

namespace {

constexpr std::size_t part_size = 8 * 1024 * 1024;

}  // namespace

void store_checkpoint(int64 run, const std::string &bytes) {
    delete_checkpoint(run);
    CatalogOwnerIdentity owner;
    int32 part = 0;
    for (std::size_t offset = 0; offset < bytes.size(); offset += part_size, ++part) {
        std::size_t size = std::min(part_size, bytes.size() - offset);
        spi_execute("INSERT INTO csp.run_checkpoint (run, part, data) VALUES ($1, $2, $3)",
                    SpiArguments().add(run).add(part).add_bytes(bytes.data() + offset, size));
    }
    spi_execute("UPDATE csp.run SET checkpoint = pg_catalog.clock_timestamp() WHERE id OPERATOR(pg_catalog.=) $1",
                SpiArguments().add(run));
}

std::string load_checkpoint(int64 run) {
    CatalogOwnerIdentity owner;
    SpiRows rows = spi_execute("SELECT c.data FROM csp.run_checkpoint c WHERE c.run OPERATOR(pg_catalog.=) $1 ORDER BY c.part",
                               SpiArguments().add(run));
    std::string bytes;
    for (uint64 i = 0; i < rows.count(); ++i) {
        bool is_null;
        Datum value = rows.datum(i, 1, is_null);
        auto *part = server_call([value] { return PG_DETOAST_DATUM_PACKED(value); });
        bytes.append(VARDATA_ANY(part), VARSIZE_ANY_EXHDR(part));
    }
    return bytes;
}

void delete_checkpoint(int64 run) {
    CatalogOwnerIdentity owner;
    spi_execute("DELETE FROM csp.run_checkpoint WHERE run OPERATOR(pg_catalog.=) $1", SpiArguments().add(run));
    spi_execute("UPDATE csp.run SET checkpoint = NULL WHERE id OPERATOR(pg_catalog.=) $1 AND checkpoint IS NOT NULL",
                SpiArguments().add(run));
}

}  // namespace csp::server
