// Groups of processes that are connected by Gloo, as LibTorch brings it, over the loopback interface.
//
// Gloo waits for as long as it takes: a member may be slow for good reasons. Whether the others are still there is for
// GroupMember::watch to tell, which is asked again and again meanwhile.
#include "process_group.h"

#include "../encoder/error.h"

// LibTorch's own header of this needs Gloo's. An upstream LibTorch comes without them.
#if !defined(CSP_WITHOUT_GLOO) && __has_include(<gloo/context.h>) && \
    __has_include(<torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>)
#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <utility>

#include "lanes.h"

namespace csp {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds between_looks{200};
constexpr milliseconds meeting_timeout{300000};  // Gloo's own
constexpr milliseconds exchange_timeout = std::chrono::hours(24);
constexpr std::size_t broadcast_part = std::size_t{64} << 20;

using Watch = std::function<void(const char *)>;

// Gloo knows that a connection has ended; the watch may know why.
[[noreturn]] void throw_broken(const Watch &watch, const std::string &text) {
    const std::string line = text.substr(0, text.find('\n'));
    if (watch) watch(line.c_str());
    throw Error(ErrorKind::external_library, "the connection between the workers of the training run broke", line);
}

c10::intrusive_ptr<c10d::ProcessGroupGloo> connect(const GroupMember &member) {
    auto store = c10::make_intrusive<c10d::FileStore>(member.meeting_point, member.size);
    store->setTimeout(meeting_timeout);
    auto options = c10d::ProcessGroupGloo::Options::create(exchange_timeout);
    options->threads = 1;  // exchanges come one after the other
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname("127.0.0.1"));
    return c10::make_intrusive<c10d::ProcessGroupGloo>(store, member.rank, member.size, options);
}

// Gloo looks to nothing else while it waits for the others: in a thread of its own, so that this one can. If nobody wants
// the connection any more, the thread ends by the timeout or with the process.
c10::intrusive_ptr<c10d::ProcessGroupGloo> meet(const GroupMember &member) {
    std::packaged_task<c10::intrusive_ptr<c10d::ProcessGroupGloo>()> meeting([member] { return connect(member); });
    auto connection = meeting.get_future();
    std::thread(std::move(meeting)).detach();
    while (connection.wait_for(between_looks) != std::future_status::ready)
        if (member.watch) member.watch(nullptr);
    try {
        return connection.get();
    } catch (const std::exception &error) {
        throw_broken(member.watch, error.what());
    }
}

class GlooGroup : public ProcessGroup {
public:
    explicit GlooGroup(const GroupMember &member)
        : ProcessGroup(member.rank, member.size), watch_(member.watch), gloo_(meet(member)) {}

    // Where an exchange was given up Gloo's thread still waits, and would be waited for. It ends with the process.
    ~GlooGroup() override {
        if (broken_) gloo_.release();
    }

    void sum(const std::vector<at::Tensor> &tensors) override {
        const c10::NoGradGuard no_grad;
        std::vector<at::Tensor> flat;
        for (const at::Tensor &tensor : tensors) flat.push_back(tensor.reshape({-1}).to(at::kCPU));
        if (flat.empty()) return;
        // A tensor of this memory as it is goes without a copy.
        std::vector<at::Tensor> sums = {flat.size() == 1 ? flat[0].contiguous() : at::cat(flat)};
        finish(gloo_->allreduce(sums));
        int64_t begin = 0;
        for (const at::Tensor &tensor : tensors) {
            const at::Tensor sum = sums[0].narrow(0, begin, tensor.numel());
            if (sum.data_ptr() != tensor.data_ptr()) tensor.copy_(sum.view(tensor.sizes()));
            begin += tensor.numel();
        }
    }

    std::vector<at::Tensor> gather_rows(const std::vector<at::Tensor> &tensors, int64_t total) override {
        const c10::NoGradGuard no_grad;
        // One exchange for all, of blocks of one size, as Gloo wants them: shares differ by a row.
        std::vector<at::Tensor> host;
        for (const at::Tensor &rows : tensors) host.push_back(rows.detach().to(at::kCPU));
        if (host.empty()) return {};
        const at::Tensor share = host.size() == 1 ? host[0] : at::cat(host, 1);
        const int64_t most = (total + size() - 1) / size();
        std::vector<at::Tensor> own = {at::zeros({most, share.size(1)}, share.options())};
        own[0].narrow(0, 0, share.size(0)).copy_(share);
        std::vector<std::vector<at::Tensor>> of_members(1);
        for (int i = 0; i < size(); ++i) of_members[0].push_back(at::empty_like(own[0]));
        finish(gloo_->allgather(of_members, own));
        for (int i = 0; i < size(); ++i) {
            at::Tensor &block = of_members[0][static_cast<std::size_t>(i)];
            block = block.narrow(0, 0, share_begin(total, size(), i + 1) - share_begin(total, size(), i));
        }
        std::vector<at::Tensor> gathered;
        int64_t column = 0;
        for (const at::Tensor &rows : tensors) {
            std::vector<at::Tensor> blocks;
            for (const at::Tensor &block : of_members[0]) blocks.push_back(block.narrow(1, column, rows.size(1)));
            gathered.push_back(at::cat(blocks).to(rows.device()));
            column += rows.size(1);
        }
        return gathered;
    }

    void broadcast(void *bytes, std::size_t size) override {
        for (std::size_t begin = 0; begin < size; begin += broadcast_part) {
            const auto count = static_cast<int64_t>(std::min(broadcast_part, size - begin));
            std::vector<at::Tensor> part = {at::from_blob(static_cast<char *>(bytes) + begin, {count}, at::kByte)};
            finish(gloo_->broadcast(part));
        }
    }

private:
    void finish(const c10::intrusive_ptr<c10d::Work> &work) {
        for (;;) {
            try {
                work->wait(between_looks);
                return;
            } catch (const std::exception &error) {
                broken_ = true;
                if (work->isCompleted()) throw_broken(watch_, error.what());
                if (watch_) watch_(nullptr);
                broken_ = false;
            }
        }
    }

    const Watch watch_;
    c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
    bool broken_ = false;
};

}  // namespace

std::unique_ptr<ProcessGroup> join_group(const GroupMember &member) {
    if (member.size == 1) return std::make_unique<ProcessGroup>();
    return std::make_unique<GlooGroup>(member);
}

}  // namespace csp

#else

namespace csp {

std::unique_ptr<ProcessGroup> join_group(const GroupMember &member) {
    if (member.size == 1) return std::make_unique<ProcessGroup>();
    throw Error(ErrorKind::not_supported, "several workers cannot train one model in this build of csp_ext",
                "It was compiled without the headers of Gloo, by which they exchange gradients.",
                "Set option workers to 1, or build csp_ext with Debian's packages libtorch-dev and libgloo-dev.");
}

}  // namespace csp

#endif
