// A team of threads that run one function at a time.
#include "lanes.h"

#include <ATen/Parallel.h>

namespace csp {

Lanes::Lanes(int count) : errors_(static_cast<std::size_t>(count)) {
    for (int lane = 1; lane < count; ++lane) threads_.emplace_back([this, lane] { serve(lane); });
}

Lanes::~Lanes() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
    }
    begun_.notify_all();
    for (std::thread &thread : threads_) thread.join();
}

void Lanes::run(const std::function<void(int)> &work) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        work_ = &work;
        working_ = static_cast<int>(threads_.size());
        ++round_;
    }
    begun_.notify_all();
    attempt(0);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return working_ == 0; });
    for (std::exception_ptr &error : errors_)
        if (error) std::rethrow_exception(error);
}

void Lanes::attempt(int lane) {
    std::exception_ptr &error = errors_[static_cast<std::size_t>(lane)];
    error = nullptr;
    try {
        (*work_)(lane);
    } catch (...) {
        error = std::current_exception();
    }
}

void Lanes::serve(int lane) {
    at::init_num_threads();  // OpenMP counts for each thread by itself
    std::unique_lock<std::mutex> lock(mutex_);
    for (unsigned seen = 0;;) {
        begun_.wait(lock, [&] { return ending_ || round_ != seen; });
        if (ending_) return;
        seen = round_;
        lock.unlock();
        attempt(lane);
        lock.lock();
        if (--working_ == 0) done_.notify_one();
    }
}

}  // namespace csp
