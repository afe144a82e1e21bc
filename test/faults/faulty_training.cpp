// A training library that throws where it is told to: it stands in place of csp_train.so and calls that for all else.
// The file `throw` in the directory of the environment variable CSP_FAULTS holds the name of a call and what it throws.
#include <dlfcn.h>

#include <cstdlib>
#include <fstream>
#include <new>
#include <stdexcept>

#include "../../src/encoder/error.h"
#include "../../src/training/trainer.h"

namespace {

using namespace csp;

void fail_if_told(const std::string &call) {
    std::ifstream file(std::string(std::getenv("CSP_FAULTS")) + "/throw");
    std::string told, what;
    if (!(file >> told >> what) || told != call) return;
    if (what == "error") throw Error(ErrorKind::internal, "thrown as csp::Error");
    if (what == "bad_alloc") throw std::bad_alloc();
    if (what == "runtime_error") throw std::runtime_error("thrown as std::runtime_error");
    if (what == "int") throw 42;
}

const TrainingLibrary &real_library() {
    static const TrainingLibrary *library = [] {
        void *handle = dlopen(std::getenv("CSP_TRAINING_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
        if (handle == nullptr) throw std::runtime_error(dlerror());
        return reinterpret_cast<const TrainingLibrary *(*)()>(dlsym(handle, "csp_training_library"))();
    }();
    return *library;
}

class FaultyTrainer : public Trainer {
public:
    explicit FaultyTrainer(std::unique_ptr<Trainer> real) : real_(std::move(real)) {}
    bool advance(double seconds, Progress &progress) override {
        fail_if_told("advance");
        return real_->advance(seconds, progress);
    }
    TrainedModel finish() override {
        fail_if_told("finish");
        return real_->finish();
    }
    std::string checkpoint() const override {
        fail_if_told("checkpoint");
        return real_->checkpoint();
    }
    std::string device() const override {
        fail_if_told("device");
        return real_->device();
    }

private:
    std::unique_ptr<Trainer> real_;
};

std::unique_ptr<Trainer> make_trainer(const TrainingOptions &options, const TrainingData &data,
                                      const std::string &checkpoint, const GroupMember &member) {
    fail_if_told("make_trainer");
    return std::make_unique<FaultyTrainer>(real_library().make_trainer(options, data, checkpoint, member));
}

TrainingLibrary faulty_library() {
    TrainingLibrary library = real_library();
    library.make_trainer = make_trainer;
    library.torch_version = [] { return fail_if_told("torch_version"), real_library().torch_version(); };
    library.blas_name = [] { return fail_if_told("blas_name"), real_library().blas_name(); };
    library.blas_warning = [] { return fail_if_told("blas_warning"), real_library().blas_warning(); };
    std::ifstream file(std::string(std::getenv("CSP_FAULTS")) + "/throw");
    std::string told;
    if (file >> told && told == "version") library.version = -1;
    return library;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const csp::TrainingLibrary *csp_training_library() {
    static const TrainingLibrary library = faulty_library();
    return &library;
}
