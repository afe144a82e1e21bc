// The thread that beats.
#include "heartbeat.h"

#include "guard.h"
#include "training_library.h"

extern "C" {
#include "storage/ipc.h"
}

#include <chrono>

namespace csp::server {

namespace {

constexpr std::chrono::milliseconds interval{250};
constexpr int silent_beats = int(Heartbeat::silence_seconds * 4);
static_assert(interval * 4 == std::chrono::seconds(1));

Heartbeat *current_heartbeat = nullptr;

// A process that exits in the midst of things does not unwind its stack; then the shared memory goes.
void stop_current_heartbeat(int, Datum) {
    if (current_heartbeat != nullptr)
        current_heartbeat->stop();
}

}  // namespace

Heartbeat::Heartbeat(pg_atomic_uint32 *own, std::vector<pg_atomic_uint32 *> others)
    : own_(own), others_(std::move(others)) {
    static bool registered = false;
    if (!registered)
        server_call([] { before_shmem_exit(stop_current_heartbeat, Datum(0)); });
    registered = true;
    pg_atomic_fetch_add_u32(own_, 1);
    SignalBlock no_signals;
    thread_ = std::thread([this] { beat(); });
    current_heartbeat = this;
}

Heartbeat::~Heartbeat() {
    stop();
    current_heartbeat = nullptr;
}

void Heartbeat::stop() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        ending_ = true;
    }
    ending_now_.notify_all();
    if (thread_.joinable())
        thread_.join();
}

void Heartbeat::beat() {
    std::vector<uint32> seen(others_.size());
    std::vector<int> missed(others_.size());
    std::unique_lock<std::mutex> lock(mutex_);
    while (!ending_now_.wait_for(lock, interval, [this] { return ending_; })) {
        pg_atomic_fetch_add_u32(own_, 1);
        uint64_t silent = 0;
        for (std::size_t i = 0; i < others_.size(); ++i) {
            const uint32 beats = pg_atomic_read_u32(others_[i]);
            missed[i] = beats == seen[i] && beats != 0 ? missed[i] + 1 : 0;
            seen[i] = beats;
            if (missed[i] >= silent_beats)
                silent |= uint64_t(1) << i;
        }
        silent_ = silent;
    }
}

}  // namespace csp::server
