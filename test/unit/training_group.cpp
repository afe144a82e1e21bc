// Runs that several processes share (here threads, each with a Trainer of its own) and that Gloo connects.
#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "../../src/encoder/error.h"
#include "../../src/training/make_trainer.h"
#include "../../src/training/process_group.h"
#include "training_support.h"

namespace csp {
namespace {

using csp_test::small_options;
using csp_test::ToyData;

// Where the members of one group meet.
class MeetingPoint {
public:
    MeetingPoint() {
        char directory[] = "/tmp/csp_group_XXXXXX";
        if (mkdtemp(directory) != nullptr) directory_ = directory;
    }
    ~MeetingPoint() {
        unlink(path().c_str());
        rmdir(directory_.c_str());
    }
    std::string path() const { return directory_ + "/members"; }

private:
    std::string directory_;
};

// work(member) in as many threads as the group has members.
void in_group(int size, const std::function<void(const GroupMember &)> &work) {
    const MeetingPoint meeting_point;
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size; ++rank)
        threads.emplace_back([&, rank] { work({rank, size, meeting_point.path(), {}}); });
    for (std::thread &thread : threads) thread.join();
}

struct FinishedRun {
    std::vector<EpochMetrics> epochs;
    TensorMap tensors;
};

FinishedRun go_on(Trainer &trainer) {
    FinishedRun run;
    Progress progress;
    while (trainer.advance(0.01, progress)) {
        if (progress.epoch_finished) run.epochs.push_back(progress.metrics);
    }
    run.tensors = trainer.finish().tensors;
    return run;
}

std::vector<FinishedRun> train(const TrainingOptions &options, const TrainingData &data, int size,
                               const std::string &checkpoint = {}) {
    std::vector<FinishedRun> runs(static_cast<std::size_t>(size));
    in_group(size, [&](const GroupMember &member) {
        const TrainingData nothing;
        const bool first = member.rank == 0;
        const auto trainer = make_trainer(options, first ? data : nothing, first ? checkpoint : std::string(), member);
        runs[static_cast<std::size_t>(member.rank)] = go_on(*trainer);
    });
    return runs;
}

void expect_near(double a, double b, const char *figure, const EpochMetrics &epoch) {
    if (std::isnan(a) && std::isnan(b)) return;
    EXPECT_NEAR(a, b, 1e-4) << figure << " of " << to_string(epoch.stage) << " epoch " << epoch.epoch;
}

void expect_same_curve(const std::vector<EpochMetrics> &one, const std::vector<EpochMetrics> &several) {
    ASSERT_EQ(one.size(), several.size());
    for (std::size_t i = 0; i < one.size(); ++i) {
        const EpochMetrics &a = one[i], &b = several[i];
        expect_near(a.loss, b.loss, "loss", a);
        expect_near(a.loss_in_batch, b.loss_in_batch, "loss_in_batch", a);
        expect_near(a.loss_negative, b.loss_negative, "loss_negative", a);
        expect_near(a.loss_dropout, b.loss_dropout, "loss_dropout", a);
        expect_near(a.validation_loss, b.validation_loss, "validation_loss", a);
        expect_near(a.validation_top1, b.validation_top1, "validation_top1", a);
        EXPECT_EQ(a.learning_rate, b.learning_rate);
    }
}

TrainingOptions few_epochs() {
    TrainingOptions options = small_options();
    options.pretrain_epochs = 3;
    options.epochs = 3;
    options.model.dropout = 0.3;
    options.batch_size = 50;  // of shares of unequal size, and a last batch of few rows
    return options;
}

// Two and three members, and two of two threads each, make the loss curve of one; and all end with one model.
void expect_same_run(const TrainingOptions &options, const TrainingData &data) {
    const std::vector<EpochMetrics> one = train(options, data, 1)[0].epochs;
    EXPECT_FALSE(one.empty());
    const auto compare = [&](const TrainingOptions &tried, int size) {
        SCOPED_TRACE(std::to_string(size) + " members of " + std::to_string(tried.threads) + " threads");
        const std::vector<FinishedRun> runs = train(tried, data, size);
        for (const FinishedRun &run : runs) {
            expect_same_curve(one, run.epochs);
            for (const auto &[name, tensor] : runs[0].tensors) EXPECT_EQ(tensor.values, run.tensors.at(name).values) << name;
        }
    };
    compare(options, 2);
    compare(options, 3);
    TrainingOptions threaded = options;
    threaded.threads = 2;
    compare(threaded, 2);
}

// A build with an upstream LibTorch may lack Gloo, and then says so.
bool gloo_is_there() {
    const MeetingPoint alone;
    try {
        join_group({0, 2, alone.path(), [](const char *) { throw Error(ErrorKind::internal, "nobody comes"); }});
    } catch (const Error &error) {
        return error.kind() != ErrorKind::not_supported;
    }
    return true;
}

class ProcessGroups : public ::testing::Test {
protected:
    void SetUp() override {
        static const bool there = gloo_is_there();
        if (!there) GTEST_SKIP() << "this build has no Gloo";
    }
};

TEST_F(ProcessGroups, SumsGathersAndBroadcasts) {
    std::atomic<int> checked{0};
    in_group(3, [&](const GroupMember &member) {
        const auto group = join_group(member);
        at::Tensor a = at::full({2, 2}, member.rank + 1.0f), b = at::full({}, 10.0f * static_cast<float>(member.rank));
        group->sum({a, b});
        EXPECT_TRUE(a.eq(6).all().item<bool>());
        EXPECT_EQ(b.item<float>(), 30);

        for (int64_t total : {1, 2, 3, 8}) {
            const at::Tensor all = at::arange(2 * total, at::kFloat).view({total, 2});
            const int64_t begin = total * member.rank / 3, end = total * (member.rank + 1) / 3;
            const at::Tensor share = all.narrow(0, begin, end - begin);
            const std::vector<at::Tensor> gathered = group->gather_rows({share, share.narrow(1, 1, 1)}, total);
            EXPECT_TRUE(gathered[0].equal(all)) << total;
            EXPECT_TRUE(gathered[1].equal(all.narrow(1, 1, 1))) << total;
        }
        int64_t numbers[] = {member.rank == 0 ? 7 : 0, member.rank == 0 ? 8 : 0};
        group->broadcast(numbers, sizeof numbers);
        EXPECT_EQ(numbers[0], 7);
        EXPECT_EQ(numbers[1], 8);

        at::Tensor values = at::ones({5});
        group->require_same({values});
        if (member.rank == 2) values[4] = 1.0000001f;
        EXPECT_THROW(group->require_same({values}), Error);
        ++checked;
    });
    EXPECT_EQ(checked, 3);
}

TEST_F(ProcessGroups, EachObjectiveHasTheLossCurveOfOneProcess) {
    const ToyData toy(300);
    for (Objective objective : {Objective::mc, Objective::mc_symmetric, Objective::nce, Objective::l2_regression}) {
        SCOPED_TRACE(to_string(objective));
        TrainingOptions options = few_epochs();
        options.objective = objective;
        options.negatives = 2;
        TrainingData data = toy.view();
        data.classes = nullptr;
        data.class_count = 0;
        expect_same_run(options, data);
    }
}

TEST_F(ProcessGroups, EachSupervisedLossHasTheLossCurveOfOneProcess) {
    ToyData toy(300);
    for (std::size_t i = 0; i < toy.users.size(); i += 4) toy.users[i] = -1;  // shares have unequally many of them
    for (SupervisedLoss loss : {SupervisedLoss::cross_entropy, SupervisedLoss::full_loss, SupervisedLoss::full_loss_user}) {
        SCOPED_TRACE(to_string(loss));
        TrainingOptions options = few_epochs();
        options.loss = loss;
        TrainingData data = toy.view();
        data.features = nullptr;
        data.image_dim = 0;
        expect_same_run(options, data);
    }
}

TEST_F(ProcessGroups, StagesThatGoOnTogetherHaveTheLossCurveOfOneProcess) {
    const ToyData toy(300);
    TrainingOptions options = few_epochs();
    options.weight_contrastive = 0.5;
    options.learn_temperature = true;
    options.patience = 2;
    options.keep_best = true;
    expect_same_run(options, toy.view());
}

TEST_F(ProcessGroups, AnImageClassifierHasTheLossCurveOfOneProcess) {
    const ToyData toy(300);
    TrainingOptions options = few_epochs();
    options.pretrain_epochs = options.epochs = 1;
    options.image_classifier = true;
    options.image_epochs = 4;
    options.calibration = true;
    expect_same_run(options, toy.view());
}

// Smaller than the group is.
TEST_F(ProcessGroups, SharesOfNoRows) {
    const ToyData toy(300);
    TrainingOptions options = few_epochs();
    options.batch_size = 2;
    options.fine_tune_batch_size = 2;
    options.objective = Objective::mc_symmetric;
    options.pretrain_epochs = options.epochs = 1;
    const std::vector<EpochMetrics> one = train(options, toy.view(), 1)[0].epochs;
    expect_same_curve(one, train(options, toy.view(), 3)[0].epochs);
}

// The first member gives its checkpoint to the others, and they go on to the same bits.
TEST_F(ProcessGroups, GoesOnFromACheckpoint) {
    const ToyData toy(300);
    const TrainingOptions options = few_epochs();
    const std::vector<FinishedRun> whole = train(options, toy.view(), 2);
    std::string checkpoint;
    in_group(2, [&](const GroupMember &member) {
        const auto trainer = make_trainer(options, member.rank == 0 ? toy.view() : TrainingData(), {}, member);
        Progress progress;
        for (int finished = 0; finished < 2; finished += progress.epoch_finished) trainer->advance(1000, progress);
        if (member.rank == 0) checkpoint = trainer->checkpoint();
    });
    const std::vector<FinishedRun> rest = train(options, toy.view(), 2, checkpoint);
    for (const auto &[name, tensor] : whole[0].tensors) EXPECT_EQ(tensor.values, rest[1].tensors.at(name).values) << name;
    EXPECT_EQ(rest[0].epochs.size(), whole[0].epochs.size() - 2);
}

// A member that goes away in the middle of an epoch is an error for the other, which stands where it stood before the
// step that failed: from its checkpoint the run goes on as if nothing had happened.
TEST_F(ProcessGroups, ALostMemberLosesNothing) {
    const ToyData toy(300);
    const TrainingOptions options = few_epochs();
    const FinishedRun whole = std::move(train(options, toy.view(), 1)[0]);
    std::string checkpoint;
    in_group(2, [&](const GroupMember &member) {
        const auto trainer = make_trainer(options, member.rank == 0 ? toy.view() : TrainingData(), {}, member);
        Progress progress;
        if (member.rank == 1) {
            for (int steps = 0; steps < 4; ++steps) trainer->advance(0, progress);
            return;
        }
        try {
            while (trainer->advance(0, progress)) continue;
            ADD_FAILURE() << "the run ended though a member was lost";
        } catch (const Error &error) {
            EXPECT_EQ(error.kind(), ErrorKind::external_library);
            EXPECT_EQ(error.message(), "the connection between the workers of the training run broke");
        }
        EXPECT_LT(progress.epoch, 2);
        checkpoint = trainer->checkpoint();
    });
    const FinishedRun rest = std::move(train(options, toy.view(), 1, checkpoint)[0]);
    expect_same_curve(whole.epochs, rest.epochs);
}

// Whoever waits for a member that does not come asks its watch, which can give up.
TEST_F(ProcessGroups, AWatchCanGiveUp) {
    const ToyData toy(300);
    const TrainingOptions options = few_epochs();
    std::atomic<bool> given_up{false};
    in_group(2, [&](GroupMember member) {
        if (member.rank == 0)
            member.watch = [](const char *broken) {
                EXPECT_EQ(broken, nullptr);
                throw Error(ErrorKind::internal, "given up");
            };
        const auto trainer = make_trainer(options, member.rank == 0 ? toy.view() : TrainingData(), {}, member);
        Progress progress;
        if (member.rank == 1) {
            while (!given_up) usleep(1000);
            return;
        }
        try {
            while (trainer->advance(0, progress)) continue;
        } catch (const Error &error) {
            EXPECT_EQ(error.message(), "given up");
        }
        given_up = true;
    });
    EXPECT_TRUE(given_up);
}

}  // namespace
}  // namespace csp
