#include "laneway/ridge.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

namespace laneway {
namespace {

// Sums side by side: one after the other would wait for each addition.
constexpr std::size_t kLanes = 8;

double dot(const float* one, const float* other, std::size_t size) {
  double sums[kLanes] = {};
  std::size_t first = 0;
  for (; first + kLanes <= size; first += kLanes)
    for (std::size_t at = 0; at < kLanes; ++at) sums[at] += static_cast<double>(one[first + at]) * other[first + at];
  for (; first < size; ++first) sums[0] += static_cast<double>(one[first]) * other[first];
  return std::accumulate(sums, sums + kLanes, 0.0);
}

}  // namespace

Ridge::Ridge(std::span<const float> coefficients, std::span<const float> of_tags, std::span<const float> intercepts, double tagged)
    : coefficients_(coefficients.begin(), coefficients.end()),
      of_tags_(of_tags.begin(), of_tags.end()),
      intercepts_(intercepts.begin(), intercepts.end()),
      tagged_(tagged) {
  const std::size_t models = intercepts.size();
  if (models == 0 || coefficients.size() % models != 0)
    throw std::invalid_argument("coefficients: expected a row for each of " + std::to_string(models) + " models, got " +
                                std::to_string(coefficients.size()) + " numbers");
  if (of_tags.empty() || of_tags.size() % models != 0)
    throw std::invalid_argument("of_tags: expected rows of " + std::to_string(models) + " numbers, got " +
                                std::to_string(of_tags.size()));
  dims_ = coefficients.size() / models;
}

void Ridge::expect(std::span<const float> vector, std::size_t tag, std::span<double> out) const {
  if (vector.size() != dims_)
    throw std::invalid_argument("vector: expected " + std::to_string(dims_) + " values, got " + std::to_string(vector.size()));
  const std::size_t models = intercepts_.size();
  const bool known = tag > 0 && tag < of_tags_.size() / models;
  for (std::size_t model = 0; model < models; ++model) {
    double value = dot(coefficients_.data() + model * dims_, vector.data(), dims_);
    if (known) value = (value + of_tags_[tag * models + model]) * tagged_;
    value += intercepts_[model];
    out[model] = std::isnan(value) ? value : std::clamp(value, 0.0, 1.0);
  }
}

}  // namespace laneway
