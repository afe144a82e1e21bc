// The minimum of a function of one number that falls and then rises, a value at a time.
#pragma once

#include <cmath>

namespace csp {

// Golden-section search (Kiefer, 1953): ask point(), give() its value, until done().
class GoldenSection {
public:
    GoldenSection(double low, double high, double tolerance)
        : low_(low), high_(high), tolerance_(tolerance), left_(inner(high, low)), right_(inner(low, high)) {}

    bool done() const { return known_ == 2 && high_ - low_ <= tolerance_; }
    double point() const { return left_is_next_ ? left_ : right_; }
    double best() const { return left_value_ < right_value_ ? left_ : right_; }

    void give(double value) {
        (left_is_next_ ? left_value_ : right_value_) = value;
        left_is_next_ = false;
        if (++known_ == 2 && !done()) narrow();
    }

private:
    // From a towards b, by the golden section.
    static double inner(double a, double b) { return a + (b - a) * (std::sqrt(5.0) - 1) / 2; }

    // Drops the outer part beside the worse of both points; the better one stays an inner point.
    void narrow() {
        known_ = 1;
        left_is_next_ = left_value_ < right_value_;
        if (left_is_next_) {
            high_ = right_, right_ = left_, right_value_ = left_value_;
            left_ = inner(high_, low_);
        } else {
            low_ = left_, left_ = right_, left_value_ = right_value_;
            right_ = inner(low_, high_);
        }
    }

    double low_, high_, tolerance_;
    double left_, right_;
    double left_value_ = 0, right_value_ = 0;
    bool left_is_next_ = true;
    int known_ = 0;
};

}  // namespace csp
