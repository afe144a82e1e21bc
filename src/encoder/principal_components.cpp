// Principal components by the power method with deflation, on the rows themselves: no dim x dim matrix.
#include "principal_components.h"

#include <algorithm>
#include <cmath>

namespace csp {

namespace {

constexpr int most_iterations = 300;
constexpr double converged = 1e-10;  // 1 - cosine of two axes in a row

using Vector = std::vector<double>;

double dot(const Vector &a, const Vector &b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += a[i] * b[i];
    return sum;
}

double normalize(Vector &v) {
    const double length = std::sqrt(dot(v, v));
    if (length > 0)
        for (double &x : v)
            x /= length;
    return length;
}

class Rows {
public:
    Rows(const float *rows, std::size_t n, std::size_t dim) : centred_(rows, rows + n * dim), n_(n), dim_(dim), mean_(dim) {
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t k = 0; k < dim; ++k)
                mean_[k] += rows[i * dim + k];
        for (double &m : mean_)
            m /= static_cast<double>(std::max<std::size_t>(n, 1));
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t k = 0; k < dim; ++k)
                centred_[i * dim + k] -= static_cast<float>(mean_[k]);
    }

    const Vector &mean() const { return mean_; }

    // (1 / n) X' X v
    Vector covariance_times(const Vector &v) const {
        Vector out(dim_);
        for (std::size_t i = 0; i < n_; ++i) {
            const float *row = &centred_[i * dim_];
            double score = 0;
            for (std::size_t k = 0; k < dim_; ++k)
                score += row[k] * v[k];
            for (std::size_t k = 0; k < dim_; ++k)
                out[k] += score * row[k];
        }
        for (double &x : out)
            x /= static_cast<double>(n_);
        return out;
    }

    // The row with the longest part that is orthogonal to the axes so far: where the iteration starts.
    Vector start(const std::vector<Vector> &axes) const {
        Vector longest(dim_);
        double length = 0;
        for (std::size_t i = 0; i < n_; ++i) {
            Vector v(&centred_[i * dim_], &centred_[i * dim_] + dim_);
            for (const Vector &axis : axes)
                subtract(v, axis);
            if (const double square = dot(v, v); square > length) {
                length = square;
                longest = std::move(v);
            }
        }
        return longest;
    }

    static void subtract(Vector &v, const Vector &axis) {
        const double along = dot(v, axis);
        for (std::size_t k = 0; k < v.size(); ++k)
            v[k] -= along * axis[k];
    }

private:
    std::vector<float> centred_;
    std::size_t n_, dim_;
    Vector mean_;
};

// The next axis and the variance along it; 0 where nothing is left.
double next_axis(const Rows &rows, const std::vector<Vector> &axes, Vector &axis) {
    axis = rows.start(axes);
    if (normalize(axis) == 0)
        return 0;
    double variance = 0;
    for (int i = 0; i < most_iterations; ++i) {
        Vector next = rows.covariance_times(axis);
        for (const Vector &earlier : axes)
            Rows::subtract(next, earlier);
        variance = normalize(next);
        const double change = 1 - std::fabs(dot(next, axis));
        axis = std::move(next);
        if (variance == 0 || change < converged)
            break;
    }
    return variance;
}

void choose_sign(Vector &axis) {
    const double largest = *std::max_element(axis.begin(), axis.end(), [](double a, double b) { return std::fabs(a) < std::fabs(b); });
    if (largest < 0)
        for (double &x : axis)
            x = -x;
}

}  // namespace

PrincipalComponents principal_components(const float *rows, std::size_t n, std::size_t dim, std::size_t count) {
    const Rows centred(rows, n, dim);
    PrincipalComponents result;
    result.dim = dim;
    result.mean.assign(centred.mean().begin(), centred.mean().end());

    std::vector<Vector> axes;
    double first_variance = 0;
    while (axes.size() < count && n > 1) {
        Vector axis;
        const double variance = next_axis(centred, axes, axis);
        // What is left after rounding is no direction.
        if (variance <= 1e-12 * first_variance || variance == 0)
            break;
        first_variance = std::max(first_variance, variance);
        choose_sign(axis);
        result.axes.emplace_back(axis.begin(), axis.end());
        result.deviations.push_back(std::sqrt(variance));
        axes.push_back(std::move(axis));
    }
    return result;
}

}  // namespace csp
