// Processes that train one model together.
//
// Each has the whole model and all rows, and takes its share of every batch (see BatchLosses); what depends on more than
// a share is exchanged here. Exchanges give all members the same bits, so that all go on with the same model.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trainer.h"

namespace csp {

// The group of one process, which exchanges nothing; and what larger ones override. All members have to call the same
// functions in the same order. Once a function has thrown the group is of no more use.
class ProcessGroup {
public:
    explicit ProcessGroup(int rank = 0, int size = 1) : rank_(rank), size_(size) {}
    virtual ~ProcessGroup() = default;
    ProcessGroup(const ProcessGroup &) = delete;
    ProcessGroup &operator=(const ProcessGroup &) = delete;

    int rank() const { return rank_; }
    int size() const { return size_; }

    // Each tensor becomes its sum over the members. They are of one type.
    virtual void sum(const std::vector<at::Tensor> &) {}

    // The rows of all members, in their order, from this member's share of `total` as share_begin divides them; of each
    // of several tensors.
    virtual std::vector<at::Tensor> gather_rows(const std::vector<at::Tensor> &tensors, int64_t) { return tensors; }

    // The bytes of the first member, for all.
    virtual void broadcast(void *, std::size_t) {}

    // Throws Error(internal) if the members do not all have these values, to the bit.
    void require_same(const std::vector<at::Tensor> &values);

private:
    const int rank_, size_;
};

// Rows of a batch, by their place in it.
struct BatchPart {
    int64_t begin, end;
    std::vector<int64_t> of(const std::vector<int64_t> &rows) const { return {rows.begin() + begin, rows.begin() + end}; }
};

// What each of so many lanes of this member takes of a batch; of a small one fewer lanes have a part.
std::vector<BatchPart> divide_batch(int64_t batch, const ProcessGroup &group, int lanes);

// Meets the other members. Throws Error(not_supported) if this LibTorch cannot connect processes.
std::unique_ptr<ProcessGroup> join_group(const GroupMember &member);

}  // namespace csp
