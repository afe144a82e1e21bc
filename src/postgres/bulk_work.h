// Work in pieces: statements that differ in the rows they take. Plain data, which travels to workers as bytes.
#pragma once

#include "pg.h"

namespace csp::server {

// A statement whose rows, of the relation with the alias s, are to be narrowed down by a condition between the two halves.
struct Statement {
    std::string before;
    std::string after;

    std::string where(const std::string &condition) const { return before + condition + after; }
};

// A statement and the pieces of it: by ranges of blocks, `step` at a time, or by given conditions.
struct BulkPart {
    Statement statement;
    uint32 blocks = 0;
    uint32 step = 1;
    std::vector<std::string> conditions;

    uint32 piece_count() const;
    std::string piece(uint32 number) const;
};

struct BulkWork {
    std::vector<BulkPart> parts;
    double rows = 0;  // about so many will be looked at

    uint32 piece_count() const;
    std::string piece(uint32 number) const;
    // Makes pieces of blocks smaller, so that there are about so many, if there are not.
    void refine(uint32 pieces);
};

// What a worker is told of a job.
struct BulkJob {
    int64 run = 0;
    BulkWork work;
    std::vector<std::string> label;  // names of what names a row in the results
    std::string role;  // set by SET ROLE; empty: none
    std::vector<std::pair<std::string, std::string>> settings;
};

std::string to_bytes(const BulkJob &job);
BulkJob job_from_bytes(const char *bytes, std::size_t size);

}  // namespace csp::server
