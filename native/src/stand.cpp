#include "laneway/stand.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace laneway {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

Placed place(const Ballot& ballot, std::size_t at, const Seat& seat, Terms terms) {
  const std::size_t count = ballot.quality.size();
  double quality = ballot.quality[at];
  if (!std::isnan(seat.line)) quality += terms.blend * (seat.line - quality);
  const double error = std::sqrt(std::max(ballot.covariance[at * count + at], 0.0));
  return {at, quality, error, ballot.effective[at], quality - terms.weight * seat.cost - seat.penalty};
}

// By how many of its standard errors the first leads whoever comes closest.
double least_lead(const Ballot& ballot, std::span<const Placed> placed) {
  const std::size_t count = ballot.quality.size();
  const auto covariance = [&](std::size_t one, std::size_t other) { return ballot.covariance[one * count + other]; };
  const Placed& won = placed.front();
  double least = kNever;
  for (const Placed& other : placed.subspan(1)) {
    const double lead = won.score - other.score;
    const double variance = covariance(won.at, won.at) + covariance(other.at, other.at) - 2 * covariance(won.at, other.at);
    const double sure = lead > 0 ? kNever : 0;
    least = std::min(least, variance > 0 ? lead / std::sqrt(variance) : sure);
  }
  return least;
}

}  // namespace

Order stand(const Ballot& ballot, std::span<const Seat> seats, Terms terms,
            const std::function<bool(std::size_t, std::size_t)>& earlier) {
  if (seats.empty() || seats.size() != ballot.quality.size())
    throw std::invalid_argument("expected a line, a cost and a penalty for each of " + std::to_string(ballot.quality.size()) +
                                " candidates, got " + std::to_string(seats.size()));
  Order out;
  out.placed.reserve(seats.size());
  for (std::size_t at = 0; at < seats.size(); ++at) out.placed.push_back(place(ballot, at, seats[at], terms));
  std::ranges::sort(out.placed, [&](const Placed& one, const Placed& other) {
    if (one.score != other.score) return one.score > other.score;
    if (seats[one.at].cost != seats[other.at].cost) return seats[one.at].cost < seats[other.at].cost;
    return earlier(one.at, other.at);
  });
  out.confidence = 0.5 * std::erfc(-least_lead(ballot, out.placed) / std::sqrt(2.0));
  const Placed& won = out.placed.front();
  for (const Placed& other : out.placed) {
    const double lead = (won.quality - seats[won.at].penalty) - (other.quality - seats[other.at].penalty);
    const double saved = seats[won.at].cost - seats[other.at].cost;
    if (saved > 0) out.cheaper_from = std::min(out.cheaper_from, lead / saved);
    if (saved < 0) out.dearer_until = std::max(out.dearer_until, lead / saved);
  }
  return out;
}

}  // namespace laneway
