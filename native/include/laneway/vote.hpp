// What the neighbours of a prompt say about every candidate at once.
//
// Owns the weights, the shrinkage towards what is known without neighbours, and how sure the result is. Knows no prices
// and chooses nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace laneway {

// One number per candidate, and for each pair how their errors move together (row by row; its diagonal is error²).
struct Ballot {
  std::vector<double> quality;
  std::vector<double> error;      // standard error of quality
  std::vector<double> effective;  // how many equally weighted labels the neighbours' labels are worth
  std::vector<double> covariance;
};

// `similarities` are cosines, nearest first. `labels` holds one label per column for the first neighbour, then for the
// second, ..., NaN where there is none. `candidates` says which column is whose, `means` what each candidate scores without
// neighbours. Throws std::invalid_argument where sizes do not fit or a number is not one of its kind.
Ballot vote(std::span<const float> similarities, std::span<const float> labels, std::size_t columns,
            std::span<const std::uint32_t> candidates, std::span<const double> means);

}  // namespace laneway
