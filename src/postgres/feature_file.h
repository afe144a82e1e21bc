// The temporary file that holds image features which do not fit into memory.
//
// It is an ordinary temporary file of the transaction that reads the source: it lies where temp_tablespaces says,
// temp_file_limit bounds it, and PostgreSQL removes it when the transaction ends, however that comes about. By then the
// trainer has opened it once more by itself: the system keeps the contents until that descriptor is closed, at the latest when
// the process ends, so that nothing is left behind even by a worker that is killed.
#pragma once

#include "pg.h"

extern "C" {
#include "storage/fd.h"
}

namespace csp::server {

class FeatureFile {
public:
    // In a transaction, which must not end before finish().
    FeatureFile();

    // Appends. Errors as PostgreSQL's of temporary files: disk_full, configuration_limit_exceeded.
    void write(const char *bytes, std::size_t size);

    int64 size() const { return size_; }

    // A descriptor to read from, whatever becomes of the transaction; the caller's to close. Nothing is written any more.
    int finish();

private:
    File file_;
    int64 size_ = 0;
};

}  // namespace csp::server
