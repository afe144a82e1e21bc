// Registering background workers, and how they take a request to end.
#include "background_worker.h"

#include "guard.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"
#include "tcop/tcopprot.h"
}

namespace csp::server {

namespace {

volatile sig_atomic_t termination_requested = 0;

void on_sigterm(SIGNAL_ARGS) {
    int saved_errno = errno;
    termination_requested = 1;
    InterruptPending = true;
    QueryCancelPending = true;
    SetLatch(MyLatch);
    errno = saved_errno;
}

}  // namespace

BackgroundWorkerHandle *register_worker(const char *function, const char *type, const std::string &name,
                                        const void *arguments, std::size_t size) {
    return server_call([&] {
        BackgroundWorker worker{};
        worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
        worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
        worker.bgw_restart_time = BGW_NEVER_RESTART;
        worker.bgw_notify_pid = MyProcPid;
        snprintf(worker.bgw_library_name, sizeof(worker.bgw_library_name), "csp_ext");
        snprintf(worker.bgw_function_name, sizeof(worker.bgw_function_name), "%s", function);
        snprintf(worker.bgw_name, sizeof(worker.bgw_name), "%s", name.c_str());
        snprintf(worker.bgw_type, sizeof(worker.bgw_type), "%s", type);
        std::memcpy(worker.bgw_extra, arguments, size);

        MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
        BackgroundWorkerHandle *handle = nullptr;
        const bool registered = RegisterDynamicBackgroundWorker(&worker, &handle);
        MemoryContextSwitchTo(context);
        return registered ? handle : nullptr;
    });
}

bool worker_has_stopped(BackgroundWorkerHandle *handle) {
    pid_t pid;
    BgwHandleStatus status = GetBackgroundWorkerPid(handle, &pid);
    return status == BGWH_STOPPED || status == BGWH_POSTMASTER_DIED;
}

void take_termination_as_cancel() {
    pqsignal(SIGTERM, on_sigterm);
    pqsignal(SIGINT, StatementCancelHandler);
}

bool termination_was_requested() { return termination_requested != 0; }

void check_for_worker_interrupts() {
    if (!PostmasterIsAlive())
        proc_exit(1);
    check_for_interrupts();
}

}  // namespace csp::server
