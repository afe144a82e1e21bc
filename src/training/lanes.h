// Threads that work on one batch side by side.
//
// Not LibTorch's own (two of them take longer than one over the small operations of a step) nor those of BLAS, which
// divide one product at a time: a lane takes a share of the rows through the whole network.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace csp {

class Lanes {
public:
    // The caller's thread is the first lane; the others inherit its signal mask.
    explicit Lanes(int count);
    ~Lanes();
    Lanes(const Lanes &) = delete;
    Lanes &operator=(const Lanes &) = delete;

    int count() const { return static_cast<int>(errors_.size()); }

    // work(lane) in every lane at once; returns when all are done. Throws what the first lane that failed has thrown.
    void run(const std::function<void(int)> &work);

private:
    void serve(int lane);
    void attempt(int lane);

    std::vector<std::thread> threads_;
    std::vector<std::exception_ptr> errors_;  // of each lane
    std::mutex mutex_;
    std::condition_variable begun_, done_;
    const std::function<void(int)> *work_ = nullptr;
    unsigned round_ = 0;  // of run()
    int working_ = 0;     // threads that have not finished this round
    bool ending_ = false;
};

// Part `index` of `total` things that are divided into `parts` as evenly as they go: where it begins.
inline int64_t share_begin(int64_t total, int parts, int index) { return total * index / parts; }

}  // namespace csp
