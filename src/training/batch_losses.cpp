// Lanes, the supervised objectives and validation; contrastive_batch.cpp has the objectives of stage 1.
#include "batch_losses.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

#include "objectives.h"

namespace csp {

BatchLosses::BatchLosses(const TrainingOptions &options, const Samples &samples, Network &network, Lanes &lanes,
                         ProcessGroup &group)
    : options_(options), samples_(samples), network_(network), lanes_(lanes), group_(group),
      negatives_(options.seed, RandomPurpose::negatives), dropout_(options.seed, RandomPurpose::dropout) {
    for (int lane = 1; lane < lanes.count(); ++lane) twins_.push_back(network.twin());
}

std::vector<BatchLosses::Share> BatchLosses::divide(const RowIds &rows) {
    const auto batch = static_cast<int64_t>(rows.size());
    std::vector<Share> shares;
    for (const BatchPart &part : divide_batch(batch, group_, lanes_.count())) {
        const std::size_t lane = shares.size();
        shares.push_back({lane == 0 ? &network_ : &twins_[lane - 1], part.of(rows), part.begin, batch, {}});
    }
    return shares;
}

void BatchLosses::in_lanes(std::size_t shares, const std::function<void(std::size_t)> &work) {
    lanes_.run([&](int lane) {
        if (static_cast<std::size_t>(lane) < shares) work(static_cast<std::size_t>(lane));
    });
}

// Of the lanes' networks, in their order, into the first; each lane sums a part of the parameters.
void BatchLosses::sum_gradients(std::size_t shares) {
    const auto sum_group = [&](ParameterGroup &sum, auto group_of, int lane) {
        const int64_t begin = share_begin(sum.gradients.numel(), lanes_.count(), lane);
        const int64_t count = share_begin(sum.gradients.numel(), lanes_.count(), lane + 1) - begin;
        for (std::size_t i = 0; i + 1 < shares; ++i) {
            at::Tensor part = group_of(twins_[i]).gradients.narrow(0, begin, count);
            sum.gradients.narrow(0, begin, count).add_(part);
            part.zero_();
        }
    };
    lanes_.run([&](int lane) {
        const c10::NoGradGuard no_grad;
        sum_group(network_.encoder(), [](Network &n) -> ParameterGroup & { return n.encoder(); }, lane);
        sum_group(network_.head(), [](Network &n) -> ParameterGroup & { return n.head(); }, lane);
    });
}

// Embeddings of all lanes. None are of a process beyond the rows of a small batch.
at::Tensor BatchLosses::join(const std::vector<at::Tensor> &parts) const {
    if (parts.empty()) return at::empty({0, options_.model.embedding_dim}, network_.encoder().values.options());
    return parts.size() == 1 ? parts[0] : at::cat(parts);
}

// Scalars of the lanes.
at::Tensor BatchLosses::sum_over_group(const std::vector<at::Tensor> &losses) const {
    at::Tensor sum = at::zeros({}, network_.encoder().values.options());
    for (const at::Tensor &loss : losses) sum += loss;
    group_.sum({sum});
    return sum;
}

at::Tensor BatchLosses::supervised(const RowIds &rows) {
    const RandomPlaces background = draws_background() ? random_places(rows.size()) : RandomPlaces();
    const uint64_t key = dropout_.next();
    std::vector<Share> shares = divide(rows);
    if (options_.loss == SupervisedLoss::full_loss_user) {
        const at::Tensor observed = samples_.users(rows).ge(0).sum();
        for (Share &share : shares) share.observed = observed;
    }
    std::vector<at::Tensor> losses(shares.size());
    in_lanes(shares.size(), [&](std::size_t i) {
        const at::Tensor loss = supervised_loss(shares[i], background, key) * shares[i].part();
        loss.backward();
        losses[i] = loss.detach();
    });
    sum_gradients(shares.size());
    return sum_over_group(losses);
}

// As published: the background counts in full once there are users.
bool BatchLosses::draws_background() const {
    return options_.loss == SupervisedLoss::full_loss_user ||
           (options_.loss == SupervisedLoss::full_loss && options_.weight_background > 0);
}

at::Tensor BatchLosses::supervised_loss(const Share &share, const RandomPlaces &background, uint64_t key) const {
    if (options_.loss != SupervisedLoss::cross_entropy) return full_loss_of(share, background, key);
    Dropout masks = dropout(key, {{share.first, static_cast<int64_t>(share.rows.size())}});
    const at::Tensor embeddings = share.network->embed(samples_.position_features(share.rows), &masks);
    return cross_entropy_loss(share.network->class_scores(embeddings), samples_.classes(share.rows),
                              options_.label_smoothing);
}

at::Tensor BatchLosses::full_loss_of(const Share &share, const RandomPlaces &background, uint64_t key) const {
    const auto rows = static_cast<int64_t>(share.rows.size());
    std::vector<at::Tensor> inputs = {samples_.position_features(share.rows)};
    std::vector<RowRange> ranges = {{share.first, rows}};
    if (draws_background()) {
        inputs.push_back(samples_.position_features(background, share.first, rows));
        ranges.push_back({share.batch + share.first, rows});
    }
    Dropout masks = dropout(key, ranges);
    const at::Tensor embeddings = share.network->embed(at::cat(inputs), &masks);
    const Scores places = share.network->class_scores(embeddings.narrow(0, 0, rows));
    const double positive =
        options_.positive_weight > 0 ? options_.positive_weight : static_cast<double>(places.candidates.size(0));
    at::Tensor loss = full_loss(places, samples_.classes(share.rows), positive);
    const bool users = options_.loss == SupervisedLoss::full_loss_user;
    if (draws_background())
        loss = loss + (users ? 1 : options_.weight_background) *
                          background_loss(share.network->class_scores(embeddings.narrow(0, rows, rows)));
    return users ? loss + observer_loss_of(share, embeddings, positive) : loss;
}

at::Tensor BatchLosses::observer_loss_of(const Share &share, const at::Tensor &embeddings,
                                         double positive_weight) const {
    const auto rows = static_cast<int64_t>(share.rows.size());
    const at::Tensor users = samples_.users(share.rows);
    const at::Tensor w = share.network->user_embeddings(users.clamp_min(0));  // any one for rows without a user
    ObserverScores scores;
    scores.places = (w * embeddings.narrow(0, 0, rows)).sum(1);
    scores.background = (w * embeddings.narrow(0, rows, rows)).sum(1);
    scores.classes = share.network->user_class_scores(w);
    scores.present = users.ge(0).to(embeddings.scalar_type());
    // A mean over rows with a user: weighted by those of the share, not by its rows.
    const at::Tensor weight = scores.present.sum().clamp_min(1) / (share.observed.clamp_min(1) * share.part());
    return observer_loss(scores, samples_.classes(share.rows), positive_weight) * weight;
}

SupervisedValidation BatchLosses::validate_supervised(const RowIds &rows) {
    const std::vector<Share> shares = divide(rows);
    std::vector<SupervisedValidation> results(shares.size());
    in_lanes(shares.size(), [&](std::size_t i) {
        const c10::NoGradGuard no_grad;
        const Share &share = shares[i];
        const at::Tensor scores =
            share.network->class_scores(share.network->embed(samples_.position_features(share.rows), nullptr)).matrix();
        const at::Tensor classes = samples_.classes(share.rows);
        const at::Tensor own = scores.gather(1, classes.unsqueeze(1)).squeeze(1);
        const at::Tensor losses = options_.loss == SupervisedLoss::cross_entropy ? scores.logsumexp(1) - own
                                                                                  : ell(at::sigmoid(own));
        results[i] = {losses.sum().item<double>(), scores.argmax(1).eq(classes).sum().item<int64_t>()};
    });
    return sum_validation(results, group_);
}

SupervisedValidation sum_validation(const std::vector<SupervisedValidation> &parts, ProcessGroup &group) {
    SupervisedValidation sum;
    for (const SupervisedValidation &part : parts) sum.loss += part.loss, sum.hits += part.hits;
    const at::Tensor sums = at::tensor({sum.loss, static_cast<double>(sum.hits)}, at::kDouble);
    group.sum({sums});
    return {sums[0].item<double>(), static_cast<int64_t>(sums[1].item<double>())};
}

}  // namespace csp
