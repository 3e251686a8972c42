// What a prompt's vector alone says about each model: one straight line for each.
//
// Owns the lines as they were fitted and reading them, in double and always in the same order, so that every machine reads
// the same. Knows neither how they were fitted nor which model is whose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace laneway {

class Ridge {
 public:
  // `coefficients` is a row of `dims` numbers per model; `of_tags` a row per tag, the first for none, of one number per
  // model; `intercepts` one number per model, NaN for one that was not fitted. `tagged` is what a vector is scaled by when a
  // tag stands beside it. Throws std::invalid_argument where sizes do not fit.
  Ridge(std::span<const float> coefficients, std::span<const float> of_tags, std::span<const float> intercepts, double tagged);

  std::size_t models() const { return intercepts_.size(); }
  std::size_t dims() const { return dims_; }

  // Each model's expected score from 0 to 1, or NaN. A tag that nothing was fitted for is none.
  void expect(std::span<const float> vector, std::size_t tag, std::span<double> out) const;

 private:
  std::size_t dims_ = 0;
  std::vector<float> coefficients_;
  std::vector<float> of_tags_;
  std::vector<float> intercepts_;
  double tagged_;
};

}  // namespace laneway
