// Where the image features of a run are kept: packed into 16 or 32 bits, in memory or in a file.
//
// Free of torch and of PostgreSQL: src/postgres fills a store while it reads the source, a trainer reads from it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checksum.h"
#include "options.h"

namespace csp {

// All functions may be called by several threads at a time, and throw csp::Error only.
class FeatureStore {
public:
    virtual ~FeatureStore() = default;

    // Features of rows by their numbers, one row after the other.
    virtual void read(const int64_t *rows, std::size_t count, float *features) const = 0;

    // Of all rows as they are kept: the same for the same rows in memory and on file.
    virtual std::string checksum() const = 0;

    // Whether reading may wait for a disk, so that it is better done beside the arithmetic; and which rows are read soon.
    virtual bool worth_prefetching() const { return false; }
    virtual void announce(const int64_t *, std::size_t) const {}
};

// float16 and bfloat16 are rounded to the nearest, ties to even. Throws Error(invalid_data) for a value that is NaN,
// infinite or beyond what the storage can hold.
void pack_features(FeatureStorage storage, const float *features, std::size_t count, char *packed);
void unpack_features(FeatureStorage storage, const char *packed, std::size_t count, float *features);

// Rows that are being collected, packed, in chunks of a few megabytes so that growing copies nothing.
class PackedRows {
public:
    PackedRows(FeatureStorage storage, int dim);

    void append(const float *features);  // errors as pack_features

    std::size_t size() const { return size_; }  // rows appended so far
    std::size_t dim() const { return dim_; }
    std::size_t row_bytes() const { return row_bytes_; }
    std::size_t held_bytes() const;             // of the rows that drain() has not taken
    const char *row(std::size_t index) const;
    void unpack(const char *packed, std::size_t rows, float *features) const;
    std::string checksum() const { return checksum_.text(); }  // of all rows appended

    // Hands the rows held to write() in their order, chunk by chunk, and lets go of them.
    void drain(const std::function<void(const char *bytes, std::size_t size)> &write);

private:
    FeatureStorage storage_;
    std::size_t dim_, row_bytes_, chunk_rows_;
    std::vector<std::unique_ptr<char[]>> chunks_;
    std::size_t size_ = 0, drained_ = 0;  // rows
    Checksum checksum_;
};

// In memory. Of rows of which none has been drained.
std::shared_ptr<const FeatureStore> features_in_memory(PackedRows rows);

// In a file that all of `rows` have been drained to. Takes the descriptor over.
std::shared_ptr<const FeatureStore> features_on_file(int descriptor, PackedRows rows);

}  // namespace csp
