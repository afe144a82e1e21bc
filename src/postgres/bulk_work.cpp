// Pieces of work, and a job as bytes.
#include "bulk_work.h"

#include "../encoder/error.h"

#include <algorithm>

namespace csp::server {

namespace {

std::string block(uint32 number) { return "'(" + std::to_string(number) + ",0)'::pg_catalog.tid"; }

// Items one after the other, texts behind their length.
class Writer {
public:
    void number(int64 value) { bytes_.append(reinterpret_cast<const char *>(&value), sizeof(value)); }
    void text(const std::string &value) {
        number(int64(value.size()));
        bytes_ += value;
    }
    void texts(const std::vector<std::string> &values) {
        number(int64(values.size()));
        for (const std::string &value : values)
            text(value);
    }
    std::string take() { return std::move(bytes_); }

private:
    std::string bytes_;
};

class Reader {
public:
    Reader(const char *bytes, std::size_t size) : next_(bytes), end_(bytes + size) {}
    int64 number() {
        int64 value;
        std::memcpy(&value, advance(sizeof(value)), sizeof(value));
        return value;
    }
    std::string text() {
        auto size = std::size_t(number());
        return std::string(advance(size), size);
    }
    std::vector<std::string> texts() {
        std::vector<std::string> values;
        for (int64 left = number(); left > 0; --left)
            values.push_back(text());
        return values;
    }

private:
    const char *advance(std::size_t size) {
        if (std::size_t(end_ - next_) < size)
            throw Error(ErrorKind::internal, "the description of a bulk job ends too early");
        const char *start = next_;
        next_ += size;
        return start;
    }
    const char *next_;
    const char *end_;
};

void write_part(Writer &writer, const BulkPart &part) {
    writer.text(part.statement.before);
    writer.text(part.statement.after);
    writer.number(part.blocks);
    writer.number(part.step);
    writer.texts(part.conditions);
}

BulkPart read_part(Reader &reader) {
    BulkPart part;
    part.statement.before = reader.text();
    part.statement.after = reader.text();
    part.blocks = uint32(reader.number());
    part.step = uint32(reader.number());
    part.conditions = reader.texts();
    return part;
}

}  // namespace

uint32 BulkPart::piece_count() const {
    return uint32(conditions.size()) + blocks / step + (blocks % step != 0);
}

std::string BulkPart::piece(uint32 number) const {
    if (number < conditions.size())
        return statement.where(conditions[number]);
    uint32 first = (number - uint32(conditions.size())) * step;
    uint32 end = blocks - first < step ? blocks : first + step;
    return statement.where("s.ctid OPERATOR(pg_catalog.>=) " + block(first) + " AND s.ctid OPERATOR(pg_catalog.<) " +
                           block(end));
}

uint32 BulkWork::piece_count() const {
    uint32 count = 0;
    for (const BulkPart &part : parts)
        count += part.piece_count();
    return count;
}

std::string BulkWork::piece(uint32 number) const {
    for (const BulkPart &part : parts) {
        if (number < part.piece_count())
            return part.piece(number);
        number -= part.piece_count();
    }
    throw Error(ErrorKind::internal, "a bulk job has no piece of that number");
}

void BulkWork::refine(uint32 pieces) {
    uint64 blocks = 0;
    for (const BulkPart &part : parts)
        blocks += part.blocks;
    const auto largest_step = uint32(std::max<uint64>(1, blocks / pieces));
    for (BulkPart &part : parts)
        part.step = std::min(part.step, largest_step);
}

std::string to_bytes(const BulkJob &job) {
    Writer writer;
    writer.number(job.run);
    writer.text(job.role);
    writer.texts(job.label);
    writer.number(int64(job.settings.size()));
    for (const auto &[name, value] : job.settings) {
        writer.text(name);
        writer.text(value);
    }
    writer.number(int64(job.work.parts.size()));
    for (const BulkPart &part : job.work.parts)
        write_part(writer, part);
    return writer.take();
}

BulkJob job_from_bytes(const char *bytes, std::size_t size) {
    Reader reader(bytes, size);
    BulkJob job;
    job.run = reader.number();
    job.role = reader.text();
    job.label = reader.texts();
    for (int64 left = reader.number(); left > 0; --left) {
        std::string name = reader.text();
        job.settings.emplace_back(std::move(name), reader.text());
    }
    for (int64 left = reader.number(); left > 0; --left)
        job.work.parts.push_back(read_part(reader));
    return job;
}

}  // namespace csp::server
