// csp_train.so, loaded on first use and by training workers alone: LibTorch costs a process
// 150 MB and a third of a second.
#pragma once

#include <csignal>
#include <string>

#include "../training/trainer.h"

namespace csp::server {

// Blocks all signals of this thread while it lives. Threads inherit the mask they are born
// under, and the server's signal handlers must never run on a thread of a library.
class SignalBlock {
public:
    SignalBlock() {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &previous_);
    }
    ~SignalBlock() { pthread_sigmask(SIG_SETMASK, &previous_, nullptr); }
    SignalBlock(const SignalBlock &) = delete;
    SignalBlock &operator=(const SignalBlock &) = delete;

private:
    sigset_t previous_;
};

// Has this process handle, under a SignalBlock, the signals that have come meanwhile. Handlers set flags, and end a
// process at once when another has crashed.
void let_signals_in();

// Loads the library on the first call. Throws Error(not_supported) if it is missing, cannot
// be loaded or is of another version.
const TrainingLibrary &training_library();

// Where it is expected: beside csp_ext.so.
std::string training_library_path();
bool training_library_exists();

}  // namespace csp::server
