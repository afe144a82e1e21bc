// The minimum of a convex function of two numbers between bounds, a point at a time.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace csp {

using Pair = std::array<double, 2>;

// What a function is like at a point; the second derivatives are a positive definite matrix.
struct Curvature {
    double value;
    Pair gradient;
    double xx, xy, yy;
};

// Newton's method with step halving: ask point(), give() what is known there, until done(). best() is the best point so far.
class NewtonSearch {
public:
    NewtonSearch(Pair start, Pair low, Pair high, double tolerance)
        : low_(low), high_(high), tolerance_(tolerance), point_(start), best_(start) {}

    bool done() const { return done_; }
    Pair point() const { return point_; }
    Pair best() const { return best_; }

    void give(const Curvature &here) {
        constexpr int most_points = 100;
        constexpr double sufficient = 1e-4;  // share of the decrease that the slope promises
        if (known_++ == 0 || here.value <= at_best_.value + sufficient * slope_of(share_)) {
            best_ = point_;
            at_best_ = here;
            step_ = step_to_minimum();
            share_ = 1;
        } else {
            share_ /= 2;
        }
        point_ = {best_[0] + share_ * step_[0], best_[1] + share_ * step_[1]};
        for (int i : {0, 1}) point_[i] = std::clamp(point_[i], low_[i], high_[i]);  // rounding
        done_ = share_ * std::max(std::fabs(step_[0]), std::fabs(step_[1])) <= tolerance_ || known_ >= most_points;
    }

private:
    double slope_of(double share) const {
        return share * (at_best_.gradient[0] * step_[0] + at_best_.gradient[1] * step_[1]);
    }

    double change_of_parabola(Pair d) const {
        return at_best_.gradient[0] * d[0] + at_best_.gradient[1] * d[1] +
               (at_best_.xx * d[0] * d[0] + 2 * at_best_.xy * d[0] * d[1] + at_best_.yy * d[1] * d[1]) / 2;
    }

    // To the least value of the parabola within the bounds: inside, or else on one of the four edges.
    Pair step_to_minimum() const {
        const auto &[gx, gy] = at_best_.gradient;
        const double xx = at_best_.xx, xy = at_best_.xy, yy = at_best_.yy, determinant = xx * yy - xy * xy;
        const Pair least = {low_[0] - best_[0], low_[1] - best_[1]}, most = {high_[0] - best_[0], high_[1] - best_[1]};
        const Pair inside = {-(yy * gx - xy * gy) / determinant, -(xx * gy - xy * gx) / determinant};
        if (inside[0] >= least[0] && inside[0] <= most[0] && inside[1] >= least[1] && inside[1] <= most[1]) return inside;
        Pair found = {0, 0};
        double change = std::numeric_limits<double>::infinity();
        for (const Pair &bounds : {least, most}) {
            const Pair edges[] = {{bounds[0], std::clamp(-(gy + xy * bounds[0]) / yy, least[1], most[1])},
                                  {std::clamp(-(gx + xy * bounds[1]) / xx, least[0], most[0]), bounds[1]}};
            for (const Pair &edge : edges)
                if (change_of_parabola(edge) < change) change = change_of_parabola(found = edge);
        }
        return found;
    }

    Pair low_, high_;
    double tolerance_;
    Pair point_, best_;
    Curvature at_best_ = {};
    Pair step_ = {};
    double share_ = 1;
    int known_ = 0;
    bool done_ = false;
};

}  // namespace csp
