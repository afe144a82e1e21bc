// What groups of processes have in common whatever connects them.
#include "process_group.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "../encoder/error.h"
#include "checksum.h"
#include "lanes.h"

namespace csp {

void ProcessGroup::require_same(const std::vector<at::Tensor> &values) {
    if (size() == 1) return;
    Checksum checksum;
    for (const at::Tensor &tensor : values) {
        const at::Tensor host = tensor.detach().to(at::kCPU).contiguous();
        checksum.add(host.data_ptr(), static_cast<std::size_t>(host.nbytes()));
    }
    const auto own = static_cast<int64_t>(checksum.value());
    at::Tensor of_members = at::zeros({size()}, at::kLong);
    of_members[rank()] = own;
    sum({of_members});
    if (of_members.eq(own).all().item<bool>()) return;
    throw Error(ErrorKind::internal, "the workers of the training run no longer have the same model",
                "Their parameters differ though each took the same steps.",
                "Train with one worker, and report this as a bug unless the machine has faulty memory.");
}

std::vector<BatchPart> divide_batch(int64_t batch, const ProcessGroup &group, int lanes) {
    const int64_t first = share_begin(batch, group.size(), group.rank());
    const int64_t own = share_begin(batch, group.size(), group.rank() + 1) - first;
    const int count = static_cast<int>(std::min<int64_t>(lanes, own));
    std::vector<BatchPart> parts;
    for (int i = 0; i < count; ++i)
        parts.push_back({first + share_begin(own, count, i), first + share_begin(own, count, i + 1)});
    return parts;
}

}  // namespace csp
