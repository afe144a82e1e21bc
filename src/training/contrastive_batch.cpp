// The objectives of stage 1 over a batch.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <vector>

#include "batch_losses.h"
#include "objectives.h"

namespace csp {
namespace {

// Of a value that goes on without its history, to be differentiated by.
at::Tensor leaf(const at::Tensor &value) { return value.detach().requires_grad_(true); }

}  // namespace

struct BatchLosses::ContrastiveShare {
    Share share;
    at::Tensor locations;  // normalized embeddings with their history: rows, random places, twins
    at::Tensor images;     // of the rows
    int64_t twin_count = 0;

    ContrastiveLosses losses;           // the lane's part of them
    at::Tensor by_locations;            // gradients by its own locations,
    at::Tensor by_images, by_twins, by_anchors;  // and by what was gathered of all lanes and processes

    int64_t rows() const { return static_cast<int64_t>(share.rows.size()); }
    at::Tensor anchors() const { return locations.detach().narrow(0, 0, rows()); }
    at::Tensor twins() const { return locations.detach().narrow(0, locations.size(0) - twin_count, twin_count); }
};

// Of the whole batch.
struct BatchLosses::Gathered {
    at::Tensor images, twins, anchors;  // twins and anchors: where the objective needs them
};

ContrastiveLosses BatchLosses::contrastive(const RowIds &rows, double weight) {
    if (options_.objective == Objective::l2_regression) return regression(rows, weight);
    RandomPlaces random;
    if (options_.weight_negative > 0) random = random_places(rows.size() * static_cast<std::size_t>(options_.negatives));
    const uint64_t key = dropout_.next();
    std::vector<ContrastiveShare> shares;
    for (Share &share : divide(rows)) shares.emplace_back().share = std::move(share);

    in_lanes(shares.size(), [&](std::size_t i) { embed(shares[i], random, key); });
    const Gathered all = gather(shares, static_cast<int64_t>(rows.size()));
    in_lanes(shares.size(), [&](std::size_t i) { lose(shares[i], all, weight); });
    sum_over_group(shares, all);
    in_lanes(shares.size(), [&](std::size_t i) { go_back(shares[i], shares); });
    sum_gradients(shares.size());

    ContrastiveLosses sum;
    std::vector<at::Tensor> terms;
    const auto add_up = [&](at::Tensor ContrastiveLosses::*term) {
        sum.*term = at::zeros({}, network_.encoder().values.options());
        for (const ContrastiveShare &share : shares) sum.*term += share.losses.*term;
        terms.push_back(sum.*term);
    };
    if (options_.weight_in_batch > 0) add_up(&ContrastiveLosses::in_batch);
    if (options_.weight_negative > 0) add_up(&ContrastiveLosses::negative);
    if (options_.weight_dropout > 0) add_up(&ContrastiveLosses::dropout);
    add_up(&ContrastiveLosses::total);
    group_.sum(terms);
    return sum;
}

void BatchLosses::embed(ContrastiveShare &share, const RandomPlaces &random, uint64_t key) const {
    const int64_t rows = share.rows(), first = share.share.first, batch = share.share.batch;
    std::vector<at::Tensor> inputs = {samples_.position_features(share.share.rows)};
    std::vector<RowRange> ranges = {{first, rows}};
    for (int64_t draw = 0; options_.weight_negative > 0 && draw < options_.negatives; ++draw) {
        inputs.push_back(samples_.position_features(random, draw * batch + first, rows));
        ranges.push_back({(2 + draw) * batch + first, rows});
    }
    if (options_.weight_dropout > 0) {
        share.twin_count = rows;
        ranges.push_back({batch + first, rows});
        if (samples_.twins_differ()) inputs.push_back(samples_.twin_features(share.share.rows));
    }
    Dropout masks = dropout(key, ranges);
    share.locations = normalize_rows(share.share.network->embed(at::cat(inputs), &masks));
    share.images = normalize_rows(share.share.network->project_images(samples_.images(share.share.rows)));
}

BatchLosses::Gathered BatchLosses::gather(const std::vector<ContrastiveShare> &shares, int64_t batch) const {
    std::vector<at::Tensor> own;
    const auto add = [&](auto part_of) {
        std::vector<at::Tensor> parts;
        for (const ContrastiveShare &share : shares) parts.push_back(part_of(share));
        own.push_back(join(parts));
    };
    const bool twins = options_.weight_dropout > 0, anchors = options_.objective == Objective::mc_symmetric;
    add([](const ContrastiveShare &share) { return share.images.detach(); });
    if (twins) add([](const ContrastiveShare &share) { return share.twins(); });
    if (anchors) add([](const ContrastiveShare &share) { return share.anchors(); });
    const std::vector<at::Tensor> all = group_.gather_rows(own, batch);
    return {all[0], twins ? all[1] : at::Tensor(), anchors ? all.back() : at::Tensor()};
}

// Losses of the lane's rows against all, and their gradients by the embeddings.
void BatchLosses::lose(ContrastiveShare &share, const Gathered &all, double weight) const {
    const int64_t rows = share.rows(), first = share.share.first;
    const at::Tensor locations = leaf(share.locations), images = leaf(all.images);
    const at::Tensor all_twins = all.twins.defined() ? leaf(all.twins) : at::Tensor();
    const at::Tensor all_anchors = all.anchors.defined() ? leaf(all.anchors) : at::Tensor();
    const at::Tensor u = locations.narrow(0, 0, rows), v = images.narrow(0, first, rows);

    at::Tensor total;
    const auto add = [&](at::Tensor &term, const at::Tensor &mean, double term_weight) {
        const at::Tensor loss = mean * share.share.part();
        term = loss.detach();
        total = total.defined() ? total + term_weight * loss : term_weight * loss;
    };
    if (options_.weight_in_batch > 0) {
        at::Tensor loss = in_batch(*share.share.network, u, images, first);
        if (all_anchors.defined()) loss = loss + in_batch(*share.share.network, v, all_anchors, first);
        add(share.losses.in_batch, loss, options_.weight_in_batch);
    }
    if (options_.weight_dropout > 0)
        add(share.losses.dropout, twins(u, all_twins, first), options_.weight_dropout);
    if (options_.weight_negative > 0) {
        const at::Tensor random = locations.narrow(0, rows, rows * options_.negatives);
        add(share.losses.negative, negative(u, v, random), options_.weight_negative);
    }
    share.losses.total = total.detach();
    (weight == 1 ? total : total * weight).backward();
    share.by_locations = locations.grad();
    share.by_images = images.grad();
    if (all_twins.defined()) share.by_twins = all_twins.grad();
    if (all_anchors.defined()) share.by_anchors = all_anchors.grad();
}

// Gradients by what was gathered, of all processes: with the first lane, as if it alone had them.
void BatchLosses::sum_over_group(std::vector<ContrastiveShare> &shares, const Gathered &all) const {
    if (group_.size() == 1) return;  // go_back adds up the lanes' anyway
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> sums;
    const auto add_up = [&](const at::Tensor &gathered, at::Tensor ContrastiveShare::*gradient) {
        if (!gathered.defined()) return;
        sums.push_back(at::zeros_like(gathered));
        for (ContrastiveShare &share : shares) {
            if ((share.*gradient).defined()) sums.back().add_(share.*gradient);
            share.*gradient = &share == &shares[0] ? sums.back() : at::Tensor();
        }
    };
    add_up(all.images, &ContrastiveShare::by_images);
    add_up(all.twins, &ContrastiveShare::by_twins);
    add_up(all.anchors, &ContrastiveShare::by_anchors);
    group_.sum(sums);
}

// What all lanes' losses say of the lane's own embeddings, back through its network.
void BatchLosses::go_back(const ContrastiveShare &own, const std::vector<ContrastiveShare> &shares) const {
    const int64_t rows = own.rows(), first = own.share.first;
    at::Tensor by_images;
    {
        const c10::NoGradGuard no_grad;
        at::Tensor by_anchors = own.by_locations.narrow(0, 0, rows);
        at::Tensor by_twins = own.by_locations.narrow(0, own.locations.size(0) - own.twin_count, own.twin_count);
        by_images = at::zeros_like(own.images);
        for (const ContrastiveShare &other : shares) {
            if (other.by_images.defined()) by_images.add_(other.by_images.narrow(0, first, rows));
            if (other.by_twins.defined()) by_twins.add_(other.by_twins.narrow(0, first, rows));
            if (other.by_anchors.defined()) by_anchors.add_(other.by_anchors.narrow(0, first, rows));
        }
    }
    torch::autograd::backward({own.locations, own.images}, {own.by_locations, by_images});
}

at::Tensor BatchLosses::in_batch(const Network &network, const at::Tensor &u, const at::Tensor &v,
                                 int64_t first) const {
    if (options_.objective == Objective::nce) return nce_in_batch_loss(u, v, options_.precision, first);
    const at::Tensor learned = network.logit_scale();
    return learned.defined() ? in_batch_loss(u * learned, v, 1, options_.precision, first)
                             : in_batch_loss(u, v, options_.temperature_in_batch, options_.precision, first);
}

at::Tensor BatchLosses::negative(const at::Tensor &u, const at::Tensor &v, const at::Tensor &random) const {
    if (options_.objective == Objective::nce) return nce_negative_location_loss(v, random);
    return negative_location_loss(u, v, random, options_.temperature_negative);
}

at::Tensor BatchLosses::twins(const at::Tensor &u, const at::Tensor &twins, int64_t first) const {
    if (options_.objective == Objective::nce) return nce_in_batch_loss(u, twins, options_.precision, first);
    return in_batch_loss(u, twins, options_.temperature_dropout, options_.precision, first);
}

// Predicting images from places has one term, which stands where the in-batch term does.
ContrastiveLosses BatchLosses::regression(const RowIds &rows, double weight) {
    const uint64_t key = dropout_.next();
    const std::vector<Share> shares = divide(rows);
    std::vector<at::Tensor> losses(shares.size());
    in_lanes(shares.size(), [&](std::size_t i) {
        const Share &share = shares[i];
        Dropout masks = dropout(key, {{share.first, static_cast<int64_t>(share.rows.size())}});
        const at::Tensor embeddings = share.network->embed(samples_.position_features(share.rows), &masks);
        const at::Tensor loss =
            l2_regression_loss(share.network->decode_locations(embeddings), samples_.images(share.rows)) * share.part();
        (loss * (options_.weight_in_batch * weight)).backward();
        losses[i] = loss.detach();
    });
    sum_gradients(shares.size());
    const at::Tensor loss = sum_over_group(losses);
    return {loss, {}, {}, loss * options_.weight_in_batch};
}

double BatchLosses::validate_contrastive(const RowIds &rows) {
    const auto batch = static_cast<int64_t>(rows.size());
    const std::vector<Share> shares = divide(rows);
    std::vector<at::Tensor> embeddings(shares.size()), images(shares.size()), losses(shares.size());
    in_lanes(shares.size(), [&](std::size_t i) {
        const c10::NoGradGuard no_grad;
        const Share &share = shares[i];
        embeddings[i] = share.network->embed(samples_.position_features(share.rows), nullptr);
        images[i] = samples_.images(share.rows);
        if (options_.objective == Objective::l2_regression) return;
        embeddings[i] = normalize_rows(embeddings[i]);
        images[i] = normalize_rows(share.network->project_images(images[i]));
    });
    const bool by_batch = options_.objective == Objective::mc || options_.objective == Objective::mc_symmetric;
    const bool symmetric = options_.objective == Objective::mc_symmetric;
    std::vector<at::Tensor> all;
    if (by_batch) all.push_back(join(images));
    if (symmetric) all.push_back(join(embeddings));
    all = group_.gather_rows(all, batch);
    in_lanes(shares.size(), [&](std::size_t i) {
        const c10::NoGradGuard no_grad;
        const Share &share = shares[i];
        const at::Tensor &u = embeddings[i], &v = images[i];
        at::Tensor loss = by_batch ? in_batch(*share.network, u, all[0], share.first)
                          : options_.objective == Objective::nce
                              ? nce_positive_loss(u, v)
                              : l2_regression_loss(share.network->decode_locations(u), v);
        if (symmetric) loss = loss + in_batch(*share.network, v, all[1], share.first);
        losses[i] = loss * share.part();
    });
    return sum_over_group(losses).item<double>();
}

}  // namespace csp
