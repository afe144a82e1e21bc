// The only symbol that csp_train.so exports.
#include "device.h"
#include "make_trainer.h"
#include "torch_guard.h"
#include "trainer.h"

extern "C" __attribute__((visibility("default"))) const csp::TrainingLibrary *csp_training_library() {
    static const csp::TrainingLibrary library = {
        csp::training_library_version,
        csp::make_trainer,
        [] { return csp::guarded([] { return csp::torch_version_name(); }); },
        [] { return csp::guarded([] { return csp::blas_name(); }); },
        [] { return csp::guarded([] { return csp::blas_warning(); }); },
        [] { return csp::guarded([] { return csp::cuda_device_count(); }); },
    };
    return &library;
}
