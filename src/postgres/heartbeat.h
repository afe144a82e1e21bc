// How processes that share memory tell each other that they live, be it that they compute for minutes without a word.
#pragma once

#include "pg.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

extern "C" {
#include "port/atomics.h"
}

namespace csp::server {

// A thread that counts up a number of this process and watches those of others. A process that is stopped counts no
// more; one that waits for the disk or is in a long step does. Time is counted in the watcher's own beats: where the
// whole machine stands still for a while nobody is missed.
class Heartbeat {
public:
    // All must stay where they are while this lives; at most one at a time in a process. At most 64 others.
    Heartbeat(pg_atomic_uint32 *own, std::vector<pg_atomic_uint32 *> others);
    ~Heartbeat();
    Heartbeat(const Heartbeat &) = delete;
    Heartbeat &operator=(const Heartbeat &) = delete;

    // Whether one of the others, by its place among them, has not been heard of for silence_seconds. One that has not
    // begun to beat is not waited for.
    bool is_silent(int other) const { return (silent_ >> other & 1) != 0; }

    // Ends the thread.
    void stop();

    static constexpr double silence_seconds = 6;

private:
    void beat();

    pg_atomic_uint32 *const own_;
    const std::vector<pg_atomic_uint32 *> others_;
    std::atomic<uint64_t> silent_{0};  // a bit for each of the others
    std::mutex mutex_;
    std::condition_variable ending_now_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace csp::server
