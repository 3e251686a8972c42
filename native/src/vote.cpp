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

void check(std::span<const float> similarities, std::span<const float> labels, std::span<const double> means) {
  if (labels.size() != similarities.size() * means.size())
    throw std::invalid_argument("labels: expected " + std::to_string(similarities.size() * means.size()) + " values for " +
                                std::to_string(similarities.size()) + " neighbours of " + std::to_string(means.size()) +
                                " candidates, got " + std::to_string(labels.size()));
  const auto finite = [](double value) { return std::isfinite(value); };
  if (!std::ranges::all_of(similarities, finite)) throw std::invalid_argument("similarities must be finite");
  if (!std::ranges::all_of(means, [](double mean) { return mean >= 0 && mean <= 1; }))
    throw std::invalid_argument("means must be from 0 to 1");
  if (std::ranges::any_of(labels, [](float label) { return !std::isnan(label) && !(label >= 0 && label <= 1); }))
    throw std::invalid_argument("labels must be from 0 to 1, or NaN where there is none");
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

// The labels column by column: `present` is the weight or 0, `residual` the label minus the quality or 0.
struct Column {
  std::vector<double> present;
  std::vector<double> residual;
  double weight = 0;  // of all labels and the pseudo-labels
};

Column take_column(std::span<const double> weights, std::span<const float> labels, std::size_t candidate, double mean,
                   std::size_t candidates, double& quality) {
  Column column{std::vector<double>(weights.size()), std::vector<double>(weights.size()), kShrinkage};
  double sum = kShrinkage * mean;
  for (std::size_t at = 0; at < weights.size(); ++at) {
    const float label = labels[at * candidates + candidate];
    if (std::isnan(label)) continue;
    column.present[at] = weights[at];
    column.residual[at] = label;
    column.weight += weights[at];
    sum += weights[at] * label;
  }
  quality = sum / column.weight;
  for (std::size_t at = 0; at < weights.size(); ++at)
    if (column.present[at] > 0) column.residual[at] -= quality;
  return column;
}

// Sums over the neighbours that have both labels: of products of residuals and of squared weights.
struct Shared {
  double weight = 0, squares = 0, products = 0;
};

Shared share(const Column& one, const Column& other) {
  Shared out;
  for (std::size_t at = 0; at < one.present.size(); ++at) {
    const double weight = other.present[at] > 0 ? one.present[at] : 0;
    out.weight += weight;
    out.squares += weight * weight;
    out.products += weight * one.residual[at] * other.residual[at];
  }
  return out;
}

}  // namespace

Ballot vote(std::span<const float> similarities, std::span<const float> labels, std::span<const double> means) {
  check(similarities, labels, means);
  const std::size_t candidates = means.size();
  thread_local std::vector<double> weights;
  weigh(similarities, weights);
  Ballot out{std::vector<double>(candidates), std::vector<double>(candidates), std::vector<double>(candidates),
             std::vector<double>(candidates * candidates)};
  std::vector<Column> columns;
  columns.reserve(candidates);
  for (std::size_t at = 0; at < candidates; ++at)
    columns.push_back(take_column(weights, labels, at, means[at], candidates, out.quality[at]));
  for (std::size_t one = 0; one < candidates; ++one) {
    for (std::size_t other = 0; other <= one; ++other) {
      const Shared both = share(columns[one], columns[other]);
      // A pseudo-label varies as a coin with the candidate's mean does, and independently of every other.
      const double prior = one == other ? kShrinkage * means[one] * (1 - means[one]) : 0;
      const double spread = (both.products + prior) / (both.weight + kShrinkage);
      const double covariance = (spread * both.squares + prior) / (columns[one].weight * columns[other].weight);
      out.covariance[one * candidates + other] = out.covariance[other * candidates + one] = covariance;
      if (one != other) continue;
      out.error[one] = std::sqrt(covariance);
      out.effective[one] = both.squares > 0 ? both.weight * both.weight / both.squares : 0;
    }
  }
  return out;
}

}  // namespace laneway
