// One training run, in slices with interrupts answered and progress written between them.
#include "training_execution.h"

#include "process_memory.h"
#include "training_checkpoint.h"
#include "training_crew.h"
#include "training_library.h"
#include "training_settings.h"
#include "worker_transactions.h"

namespace csp::server {

int csp_training_memory = 2 * 1024 * 1024;

namespace {

constexpr double slice_seconds = 0.05;             // between two looks at interrupts
constexpr double progress_interval_seconds = 0.5;  // between two writes of progress

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
        in_transaction([&] { rows_ = read_training_rows(request.query, request.options, limit); });
        require_rows();
        data_ = rows_.data(request.query);
        int64_t estimate = estimate_memory(request.options, data_.rows, data_.image_dim, data_.class_count, data_.user_count);
        write_transaction([&] { record_rows(run_, rows_, estimate); });
        if (estimate > limit)
            throw Error(ErrorKind::out_of_memory, "the training run does not fit into csp.training_memory",
                        "It would need about " + std::to_string(estimate >> 20) + " MB for " +
                            std::to_string(data_.rows) + " rows.",
                        "Raise csp.training_memory, lower option batch_size, or train on fewer rows.");
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
        const TrainingCrew crew(run_, stored_.request.options.workers);
        std::unique_ptr<Trainer> trainer = make_trainer(library, checkpoint_to_go_on_from(), crew.leader());
        trained_.device = trainer->device();
        trained_.torch_version = library.torch_version();
        trained_.blas_name = library.blas_name();
        write_transaction([&] { record_device(run_, trained_.device, crew.size()); });

        last_checkpoint_ = now_seconds();
        try {
            train_with(*trainer, crew);
        } catch (const ServerError &) {  // a cancel, most likely: between two steps of the trainer
            leave_last_words(*trainer);
            throw;
        } catch (const LostWorker &) {  // the trainer stands as between two steps
            leave_last_words(*trainer);
            check_for_interrupts();  // if this process is to end too, that is what ended the run
            throw;
        }
        trained_.model = trainer->finish();
    }

    void train_with(Trainer &trainer, const TrainingCrew &crew) {
        Progress progress;
        while (advance(trainer, progress)) {
            note(progress);
            if (writes_checkpoints() && now_seconds() - last_checkpoint_ >= stored_.request.options.checkpoint_seconds)
                write_checkpoint(take_checkpoint(trainer));
            check_for_interrupts();
            crew.check();
        }
    }

    void leave_last_words(const Trainer &trainer) {
        if (writes_checkpoints())
            last_words_ = {std::move(pending_metrics_), take_checkpoint(trainer)};
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

    void write_checkpoint(const std::string &checkpoint) {
        write_with_metrics([&] { store_checkpoint(run_, checkpoint); });
        last_checkpoint_ = now_seconds();
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
        write_with_metrics([&] { record_progress(run_, progress, resident_memory()); });
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

    void publish_model() {
        trained_.seconds = now_seconds() - started_;
        write_with_metrics([&] {
            record_progress(run_, last_progress_, resident_memory());
            publish(run_, stored_, rows_, trained_);
        });
    }

    int64 run_;
    StoredRun stored_;
    TrainingRows rows_;
    TrainingData data_;
    TrainedVersion trained_;
    std::vector<EpochMetrics> pending_metrics_;
    Progress last_progress_;
    double started_ = 0;
    double last_write_ = 0;
    double last_checkpoint_ = 0;
    LastWords &last_words_;
};

}  // namespace

void execute_training(int64 run, StoredRun stored, LastWords &last_words) {
    TrainingRun(run, std::move(stored), last_words).execute();
}

}  // namespace csp::server
