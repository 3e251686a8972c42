// Who comes first among candidates, how sure that is, and at which weight of costs another would.
//
// Owns the arithmetic of a choice: score = quality - weight x cost - penalty. Knows neither whose cost it is nor who chose
// the weight, and declines nothing.
#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include "laneway/vote.hpp"

namespace laneway {

// A candidate beside what was voted on it. `line` is what a straight line expects of it, NaN where it says nothing.
struct Seat {
  double line;
  double cost;
  double penalty;
};

// `blend` is the share that a line has in a quality.
struct Terms {
  double blend;
  double weight;
};

struct Placed {
  std::size_t at;
  double quality, error, effective, score;
};

struct Order {
  std::vector<Placed> placed;  // best first
  double confidence = 0;       // that the first is no worse than whoever comes closest to it
  // From this weight on a cheaper one would win, and up to this one a dearer: infinity and 0 where none would.
  double cheaper_from = std::numeric_limits<double>::infinity();
  double dearer_until = 0;
};

// Of those that score and cost the same, the one that `earlier` says comes first. There is at least one candidate.
Order stand(const Ballot& ballot, std::span<const Seat> seats, Terms terms,
            const std::function<bool(std::size_t, std::size_t)>& earlier);

}  // namespace laneway
