// Features in memory and in a file.
#include "feature_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../encoder/error.h"

namespace csp {
namespace {

constexpr std::size_t chunk_bytes = 4 << 20;

// The largest piece that is read from a file at a time.
constexpr std::size_t piece_bytes = 256 << 10;

class InMemory : public FeatureStore {
public:
    explicit InMemory(PackedRows rows) : rows_(std::move(rows)), checksum_(rows_.checksum()) {}

    void read(const int64_t *rows, std::size_t count, float *features) const override {
        const std::size_t dim = rows_.dim();
        for (std::size_t i = 0; i < count; ++i)
            rows_.unpack(rows_.row(static_cast<std::size_t>(rows[i])), 1, features + i * dim);
    }

    std::string checksum() const override { return checksum_; }

private:
    PackedRows rows_;
    std::string checksum_;
};

class OnFile : public FeatureStore {
public:
    OnFile(int descriptor, PackedRows rows) : descriptor_(descriptor), rows_(std::move(rows)), checksum_(rows_.checksum()) {}
    ~OnFile() override { close(descriptor_); }
    OnFile(const OnFile &) = delete;
    OnFile &operator=(const OnFile &) = delete;

    void read(const int64_t *rows, std::size_t count, float *features) const override {
        std::vector<char> piece(std::min(count, piece_rows()) * rows_.row_bytes());
        for (std::size_t i = 0, n; i < count; i += n) {
            n = neighbours(rows + i, count - i);
            read_bytes(rows[i], n * rows_.row_bytes(), piece.data());
            rows_.unpack(piece.data(), n, features + i * rows_.dim());
        }
    }

    std::string checksum() const override { return checksum_; }
    bool worth_prefetching() const override { return true; }

    // The system reads them into its cache, all at once and beside us. What it makes of the advice is up to it.
    void announce(const int64_t *rows, std::size_t count) const override {
        std::vector<int64_t> sorted(rows, rows + count);
        std::sort(sorted.begin(), sorted.end());
        for (std::size_t i = 0, n; i < count; i += n) {
            n = neighbours(sorted.data() + i, count - i);
            posix_fadvise(descriptor_, offset_of(sorted[i]), static_cast<off_t>(n * rows_.row_bytes()), POSIX_FADV_WILLNEED);
        }
    }

private:
    std::size_t piece_rows() const { return std::max<std::size_t>(1, piece_bytes / rows_.row_bytes()); }
    off_t offset_of(int64_t row) const { return static_cast<off_t>(row) * static_cast<off_t>(rows_.row_bytes()); }

    // How many rows from the first on lie one after the other in the file, as far as a piece goes.
    std::size_t neighbours(const int64_t *rows, std::size_t count) const {
        const std::size_t most = std::min(count, piece_rows());
        std::size_t n = 1;
        while (n < most && rows[n] == rows[0] + static_cast<int64_t>(n)) ++n;
        return n;
    }

    void read_bytes(int64_t row, std::size_t size, char *bytes) const {
        off_t offset = offset_of(row);
        while (size > 0) {
            const ssize_t got = pread(descriptor_, bytes, size, offset);
            if (got < 0 && errno == EINTR) continue;
            if (got <= 0)
                throw Error(ErrorKind::io_error, "could not read the temporary file of features",
                            got < 0 ? std::string(std::strerror(errno)) + "." : "It is too short.");
            bytes += got;
            offset += got;
            size -= static_cast<std::size_t>(got);
        }
    }

    int descriptor_;
    PackedRows rows_;  // none held: how they are packed
    std::string checksum_;
};

}  // namespace

PackedRows::PackedRows(FeatureStorage storage, int dim)
    : storage_(storage), dim_(static_cast<std::size_t>(dim)), row_bytes_(dim_ * feature_size(storage)),
      chunk_rows_(std::max<std::size_t>(1, chunk_bytes / row_bytes_)) {}

void PackedRows::append(const float *features) {
    const std::size_t held = size_ - drained_, at = held % chunk_rows_;
    if (held == chunks_.size() * chunk_rows_) chunks_.emplace_back(new char[chunk_rows_ * row_bytes_]);  // not touched before it is filled
    char *packed = chunks_.back().get() + at * row_bytes_;
    pack_features(storage_, features, dim_, packed);
    checksum_.add(packed, row_bytes_);
    ++size_;
}

std::size_t PackedRows::held_bytes() const { return (size_ - drained_) * row_bytes_; }

const char *PackedRows::row(std::size_t index) const {
    return chunks_[index / chunk_rows_].get() + index % chunk_rows_ * row_bytes_;
}

void PackedRows::unpack(const char *packed, std::size_t rows, float *features) const {
    unpack_features(storage_, packed, rows * dim_, features);
}

void PackedRows::drain(const std::function<void(const char *bytes, std::size_t size)> &write) {
    for (std::unique_ptr<char[]> &chunk : chunks_) {
        const std::size_t rows = std::min(chunk_rows_, size_ - drained_);
        write(chunk.get(), rows * row_bytes_);
        drained_ += rows;
        chunk.reset();
    }
    chunks_.clear();
}

std::shared_ptr<const FeatureStore> features_in_memory(PackedRows rows) {
    return std::make_shared<InMemory>(std::move(rows));
}

std::shared_ptr<const FeatureStore> features_on_file(int descriptor, PackedRows rows) {
    return std::make_shared<OnFile>(descriptor, std::move(rows));
}

}  // namespace csp
