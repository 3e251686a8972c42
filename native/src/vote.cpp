#include "laneway/vote.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace laneway {
namespace {

constexpr std::size_t kReference = 40;   // the neighbour whose distance sets the width of the kernel
constexpr double kWidth = 0.3;           // of that distance
constexpr double kLeastDistance = 1e-6;  // copies of the prompt itself leave no distance to divide by
constexpr double kShrinkage = 3;         // pseudo-labels at the candidate's mean

// A place where the votes of all candidates are laid out, kept between calls of one thread.
struct Desk {
  std::vector<double> weights;
  std::vector<double> present;   // by candidate: a neighbour's weight, or 0 without a label
  std::vector<double> residual;  // by candidate: its label minus the quality, or 0
  std::vector<double> total;     // by candidate: weight of all labels and the pseudo-labels
};

void check(std::span<const float> similarities, std::span<const float> labels, std::size_t columns,
           std::span<const std::uint32_t> candidates, std::span<const double> means) {
  if (labels.size() != similarities.size() * columns)
    throw std::invalid_argument("labels: expected " + std::to_string(similarities.size() * columns) + " values for " +
                                std::to_string(similarities.size()) + " neighbours in " + std::to_string(columns) +
                                " columns, got " + std::to_string(labels.size()));
  if (means.size() != candidates.size())
    throw std::invalid_argument("means: expected one for each of " + std::to_string(candidates.size()) + " candidates, got " +
                                std::to_string(means.size()));
  if (std::ranges::any_of(candidates, [=](std::uint32_t column) { return column >= columns; }))
    throw std::invalid_argument("candidates: there are only " + std::to_string(columns) + " columns");
  if (!std::ranges::all_of(similarities, [](float value) { return std::isfinite(value); }))
    throw std::invalid_argument("similarities must be finite");
  if (!std::ranges::all_of(means, [](double mean) { return mean >= 0 && mean <= 1; }))
    throw std::invalid_argument("means must be from 0 to 1");
}

// Weights that fall with distance, the width adapted to how crowded the neighbourhood is; their mean is 1.
void weigh(std::span<const float> similarities, std::vector<double>& weights) {
  const auto distance = [&](std::size_t at) { return std::max(0.0, 1.0 - similarities[at]); };
  weights.resize(similarities.size());
  if (similarities.empty()) return;
  const double reference = std::max(distance(std::min(kReference, similarities.size()) - 1), kLeastDistance);
  double sum = 0;
  for (std::size_t at = 0; at < weights.size(); ++at) {
    weights[at] = std::exp((reference - distance(at)) / (kWidth * reference));
    sum += weights[at];
  }
  for (double& weight : weights) weight *= static_cast<double>(weights.size()) / sum;
}

// One candidate's labels; returns its quality.
double lay_out(Desk& desk, std::span<const float> labels, std::size_t columns, std::uint32_t column, std::size_t candidate,
               double mean) {
  const std::size_t count = desk.weights.size();
  double* const present = desk.present.data() + candidate * count;
  double* const residual = desk.residual.data() + candidate * count;
  double weight = kShrinkage, sum = kShrinkage * mean;
  for (std::size_t at = 0; at < count; ++at) {
    const float label = labels[at * columns + column];
    if (!std::isnan(label) && !(label >= 0 && label <= 1))
      throw std::invalid_argument("labels must be from 0 to 1, or NaN where there is none");
    present[at] = std::isnan(label) ? 0 : desk.weights[at];
    residual[at] = std::isnan(label) ? 0 : static_cast<double>(label);
    weight += present[at];
    sum += present[at] * residual[at];
  }
  const double quality = sum / weight;
  for (std::size_t at = 0; at < count; ++at) residual[at] -= quality;
  desk.total[candidate] = weight;
  return quality;
}

// Sums over the neighbours that have both labels: of products of residuals and of squared weights.
struct Shared {
  double weight = 0, squares = 0, products = 0;
};

Shared share(const Desk& desk, std::size_t one, std::size_t other) {
  const std::size_t count = desk.weights.size();
  const double* const weights = desk.present.data() + one * count;
  const double* const others = desk.present.data() + other * count;
  const double* const residuals = desk.residual.data() + one * count;
  const double* const other_residuals = desk.residual.data() + other * count;
  Shared out;
  for (std::size_t at = 0; at < count; ++at) {
    const double weight = std::min(weights[at], others[at]);  // they are equal, or one is 0
    out.weight += weight;
    out.squares += weight * weight;
    out.products += weight * residuals[at] * other_residuals[at];
  }
  return out;
}

}  // namespace

Ballot vote(std::span<const float> similarities, std::span<const float> labels, std::size_t columns,
            std::span<const std::uint32_t> candidates, std::span<const double> means) {
  check(similarities, labels, columns, candidates, means);
  const std::size_t count = candidates.size();
  thread_local Desk desk;
  weigh(similarities, desk.weights);
  desk.present.resize(count * similarities.size());
  desk.residual.resize(count * similarities.size());
  desk.total.resize(count);
  Ballot out{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count),
             std::vector<double>(count * count)};
  for (std::size_t at = 0; at < count; ++at)
    out.quality[at] = lay_out(desk, labels, columns, candidates[at], at, means[at]);
  for (std::size_t one = 0; one < count; ++one) {
    for (std::size_t other = 0; other <= one; ++other) {
      const Shared both = share(desk, one, other);
      // A pseudo-label varies as a coin with the candidate's mean does, and independently of every other.
      const double prior = one == other ? kShrinkage * means[one] * (1 - means[one]) : 0;
      const double spread = (both.products + prior) / (both.weight + kShrinkage);
      const double covariance = (spread * both.squares + prior) / (desk.total[one] * desk.total[other]);
      out.covariance[one * count + other] = out.covariance[other * count + one] = covariance;
      if (one != other) continue;
      out.error[one] = std::sqrt(covariance);
      out.effective[one] = both.squares > 0 ? both.weight * both.weight / both.squares : 0;
    }
  }
  return out;
}

}  // namespace laneway
