// Loading of csp_train.so.
#include "pg.h"

#include "training_library.h"

#include <dlfcn.h>
#include <unistd.h>

#include "../encoder/error.h"

extern "C" {
#include "libpq/pqsignal.h"
}

namespace csp::server {

namespace {

// An address in csp_ext.so, to ask the dynamic loader where that lies.
const char address_in_this_library = 0;

const TrainingLibrary *load() {
    SignalBlock no_signals;
    void *handle = dlopen(training_library_path().c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle == nullptr)
        throw Error(ErrorKind::not_supported, "cannot load the training library", std::string(dlerror()) + ".",
                    "Training needs LibTorch (Debian package libtorch-dev when building); then install csp_ext again.");
    auto *entry = reinterpret_cast<const TrainingLibrary *(*)()>(dlsym(handle, "csp_training_library"));
    const TrainingLibrary *library = entry ? entry() : nullptr;
    if (library == nullptr || library->version != training_library_version)
        throw Error(ErrorKind::not_supported, "the training library is of another version of csp_ext",
                    "File \"" + training_library_path() + "\" does not fit this server library.",
                    "Install csp_ext again, so that both come from one build.");
    return library;
}

}  // namespace

void let_signals_in() {
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, &UnBlockSig, &blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

const TrainingLibrary &training_library() {
    static const TrainingLibrary *library = load();
    return *library;
}

std::string training_library_path() {
    Dl_info info;
    if (dladdr(&address_in_this_library, &info) == 0 || info.dli_fname == nullptr)
        return "csp_train.so";
    std::string path = info.dli_fname;
    return path.substr(0, path.rfind('/') + 1) + "csp_train.so";
}

bool training_library_exists() { return access(training_library_path().c_str(), R_OK) == 0; }

}  // namespace csp::server
