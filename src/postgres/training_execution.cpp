// One training run, in slices with interrupts answered and progress written between them.
#include "training_execution.h"

#include "background_worker.h"
#include "batch_size_advice.h"
#include "process_memory.h"
#include "training_checkpoint.h"
#include "training_crew.h"
#include "training_initial.h"
#include "training_library.h"
#include "training_settings.h"
#include "worker_transactions.h"

#include "../training/hardware.h"
#include "../training/initial_model.h"

extern "C" {
#include "utils/guc.h"
}

#include <algorithm>

namespace csp::server {

int csp_training_memory = 2 * 1024 * 1024;

namespace {

constexpr double slice_seconds = 0.05;             // between two looks at interrupts
constexpr double progress_interval_seconds = 0.5;  // between two writes of progress
constexpr double complaint_interval_seconds = 60;  // between two lines of the log about what cannot be written

double now_seconds() { return double(GetCurrentTimestamp()) * 1e-6; }

class TrainingRun {
public:
    TrainingRun(int64 run, StoredRun stored, LastWords &last_words)
        : run_(run), stored_(std::move(stored)), last_words_(last_words) {}

    void execute() {
        started_ = now_seconds();
        read_rows();
        train();
        publish_model();
    }

private:
    void read_rows() {
        const int64_t limit = int64_t(csp_training_memory) * 1024;
        const RunRequest &request = stored_.request;
        in_transaction([&] {
            const int level = NewGUCNestLevel();  // what functions of the source set ends with the reading
            if (!request.options.from_model.empty())
                initial_model_ = read_initial_model(request.options.from_model, run_);
            rows_ = read_training_rows(request.query, request.options, limit);
            server_call([level] { AtEOXact_GUC(false, level); });
        });
        require_rows();
        data_ = rows_.data(request.query);
        begin_with_initial_model();
        data_.keep_position_features = rows_.estimate(request.options, true) <= limit;
        int64_t estimate = rows_.estimate(request.options, data_.keep_position_features);
        write_transaction([&] { record_rows(run_, rows_, estimate); });
    }

    // It had to wait for the rows, which tell the labels that the class head is to have.
    void begin_with_initial_model() {
        if (!initial_model_)
            return;
        initial_ = initial_tensors(std::move(*initial_model_), stored_.request.options, data_);
        initial_model_.reset();
        data_.initial = &initial_;
    }

    void require_rows() const {
        if (rows_.classes.empty())
            throw Error(ErrorKind::invalid_data, "the source has no rows to train on",
                        "Of " + std::to_string(rows_.read) + " rows, " + std::to_string(rows_.skipped_location) +
                            " have no location, " + std::to_string(rows_.skipped_features) + " no features and " +
                            std::to_string(rows_.skipped_date) + " no date.");
    }

    void train() {
        write_transaction([&] { mark_phase(run_, "loading the training library"); });
        const TrainingLibrary &library = training_library();
        if (std::string warning = library.blas_warning(); !warning.empty())
            server_call([&] { ereport(WARNING, (errmsg("%s", warning.c_str()))); });
        std::string checkpoint = checkpoint_to_go_on_from();
        const int64_t memory = memory_for_training();
        try {
            train_with(library, checkpoint);
        } catch (const Error &error) {
            if (error.kind() != ErrorKind::out_of_memory)
                throw;
            throw Error(error.kind(), error.message(), error.detail(), batch_size_for(memory));
        }
    }

    void train_with(const TrainingLibrary &library, const std::string &checkpoint) {
        const TrainingCrew crew(run_, stored_.request.options.workers);
        std::unique_ptr<Trainer> trainer = make_trainer(library, checkpoint, crew.leader());
        trained_.device = trainer->device();
        trained_.torch_version = library.torch_version();
        trained_.blas_name = library.blas_name();
        write_transaction([&] { record_device(run_, trained_.device, crew.size()); });

        last_checkpoint_ = now_seconds();
        try {
            advance_to_the_end(*trainer, crew);
        } catch (const ServerError &) {  // a cancel, most likely: between two steps of the trainer
            leave_last_words(*trainer);
            throw;
        } catch (const LostWorker &) {  // the trainer stands as between two steps
            leave_last_words(*trainer);
            check_for_worker_interrupts();  // if this process is to end too, that is what ended the run
            throw;
        }
        trained_.model = trainer->finish();
    }

    void advance_to_the_end(Trainer &trainer, const TrainingCrew &crew) {
        Progress progress;
        while (advance(trainer, progress)) {
            note(progress);
            if (writes_checkpoints() && now_seconds() - last_checkpoint_ >= stored_.request.options.checkpoint_seconds)
                write_checkpoint(trainer);
            check_for_worker_interrupts();
            crew.check();
        }
    }

    // Without one the run starts anew, whatever an interrupted one has left behind.
    std::string checkpoint_to_go_on_from() {
        std::string checkpoint;
        write_transaction([&] {
            checkpoint = load_checkpoint(run_);
            if (checkpoint.empty())
                delete_metrics(run_);
        });
        return checkpoint;
    }

    bool writes_checkpoints() const { return stored_.request.options.checkpoint_seconds > 0; }

    static std::string take_checkpoint(const Trainer &trainer) {
        SignalBlock no_signals;
        return trainer.checkpoint();
    }

    void write_checkpoint(const Trainer &trainer) {
        go_on_without("a checkpoint", [&] {
            std::string checkpoint = take_checkpoint(trainer);
            write_with_metrics([&] { store_checkpoint(run_, checkpoint); });
        });
        last_checkpoint_ = now_seconds();
    }

    // Whatever happens to the checkpoint, what ended the run is to be told.
    void leave_last_words(const Trainer &trainer) noexcept {
        last_words_.metrics.swap(pending_metrics_);
        try {
            if (writes_checkpoints())
                last_words_.checkpoint = take_checkpoint(trainer);
        } catch (...) {  // it is out of memory: the checkpoint before it stays
        }
    }

    // A run outlives that something could not be written for want of space or memory: they may be there again next time.
    template <typename Body>
    void go_on_without(const char *what, Body &&body) {
        std::string reason;
        try {
            return body();
        } catch (const ServerError &error) {
            if (!is_want_of_resources(error.data()->sqlerrcode))
                throw;
            reason = error.what();
        } catch (const Error &error) {
            if (error.kind() != ErrorKind::out_of_memory)
                throw;
            reason = error.what();
        } catch (const std::bad_alloc &) {
            reason = "out of memory";
        }
        server_call([] { AbortOutOfAnyTransaction(); });
        if (now_seconds() - last_complaint_ < complaint_interval_seconds)
            return;
        last_complaint_ = now_seconds();
        server_call([&] {
            ereport(LOG, (errmsg("training run %lld goes on without writing %s: %s", (long long)run_, what, reason.c_str())));
        });
    }

    static bool is_want_of_resources(int sqlstate) {
        const int category = ERRCODE_TO_CATEGORY(sqlstate);
        return category == ERRCODE_INSUFFICIENT_RESOURCES || category == ERRCODE_SYSTEM_ERROR;
    }

    std::unique_ptr<Trainer> make_trainer(const TrainingLibrary &library, const std::string &checkpoint,
                                          const GroupMember &member) {
        SignalBlock no_signals;  // LibTorch starts threads
        return library.make_trainer(stored_.request.options, data_, checkpoint, member);
    }

    static bool advance(Trainer &trainer, Progress &progress) {
        SignalBlock no_signals;
        return trainer.advance(slice_seconds, progress);
    }

    // Keeps the figures of finished epochs and writes what has gathered from time to time.
    void note(const Progress &progress) {
        last_progress_ = progress;
        if (progress.epoch_finished)
            pending_metrics_.push_back(progress.metrics);
        if (now_seconds() - last_write_ < progress_interval_seconds)
            return;
        go_on_without("its progress", [&] { write_with_metrics([&] { record_progress(run_, progress, process_memory()); }); });
        last_write_ = now_seconds();
    }

    // One transaction that also writes the figures that have gathered: so no checkpoint is ahead of them.
    template <typename Body>
    void write_with_metrics(Body &&body) {
        write_transaction([&] {
            for (const EpochMetrics &metrics : pending_metrics_)
                record_metrics(run_, metrics);
            body();
        });
        pending_metrics_.clear();
    }

    // Bytes that training can have beside the rows, which the estimate counts too. -1: unknown.
    int64_t memory_for_training() const {
        SignalBlock no_signals;
        const int64_t free = free_memory(stored_.request.options.device);
        return free < 0 ? free : free + rows_.feature_bytes(stored_.request.options);
    }

    std::string batch_size_for(int64_t memory) const {
        return advice_on_batch_size(stored_.request.options, data_.features != nullptr, data_.classes != nullptr,
                                    int64_t(data_.rows), memory, [&](const TrainingOptions &tried) {
                                        return rows_.estimate(tried, data_.keep_position_features);
                                    });
    }

    void publish_model() {
        trained_.seconds = now_seconds() - started_;
        write_with_metrics([&] {
            record_progress(run_, last_progress_, process_memory());
            publish(run_, stored_, rows_, trained_);
        });
    }

    int64 run_;
    StoredRun stored_;
    TrainingRows rows_;
    std::optional<ModelContents> initial_model_;  // that the run goes on from, until the rows have been read
    TensorMap initial_;                           // of it, made to fit the run
    TrainingData data_;
    TrainedVersion trained_;
    std::vector<EpochMetrics> pending_metrics_;
    Progress last_progress_;
    double started_ = 0;
    double last_write_ = 0;
    double last_checkpoint_ = 0;
    double last_complaint_ = 0;
    LastWords &last_words_;
};

}  // namespace

void execute_training(int64 run, StoredRun stored, LastWords &last_words) {
    TrainingRun(run, std::move(stored), last_words).execute();
}

}  // namespace csp::server
