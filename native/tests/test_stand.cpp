#include <limits>

#include "check.hpp"
#include "laneway/stand.hpp"

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
using laneway::Order;
using laneway::Seat;

// Two candidates who err apart from each other, by 0.1 each.
const laneway::Ballot kTwo{{0.8, 0.9}, {0.1, 0.1}, {7, 8}, {0.01, 0, 0, 0.01}};

Order stand(const laneway::Ballot& ballot, const std::vector<Seat>& seats, double weight) {
  return laneway::stand(ballot, seats, {0.5, weight}, [](std::size_t one, std::size_t other) { return one > other; });
}

}  // namespace

TEST(a_score_is_quality_less_cost_less_penalty) {
  const Order order = stand(kTwo, {{kNaN, 1, 0}, {0.7, 2, 0.02}}, 0.1);
  CHECK(order.placed[0].at == 0 && order.placed[1].at == 1);
  check::near(order.placed[0].score, 0.8 - 0.1, 1e-12);
  check::near(order.placed[1].quality, 0.8, 1e-12);
  check::near(order.placed[1].score, 0.8 - 0.2 - 0.02, 1e-12);
  CHECK(order.placed[0].error == std::sqrt(0.01) && order.placed[1].effective == 8);
}

TEST(the_smallest_lead_says_how_sure_it_is) {
  check::near(stand(kTwo, {{kNaN, 1, 0}, {kNaN, 1, 0}}, 0).confidence, 0.5 * std::erfc(-0.1 / std::sqrt(0.02) / std::sqrt(2)), 1e-12);
  const laneway::Ballot together{{0.8, 0.9}, {0.1, 0.1}, {7, 8}, {0.01, 0.01, 0.01, 0.01}};
  CHECK(stand(together, {{kNaN, 1, 0}, {kNaN, 1, 0}}, 0).confidence == 1);
}

TEST(even_scores_go_to_the_cheaper_and_then_to_the_earlier) {
  const laneway::Ballot even{{0.5, 0.5, 0.5}, {0, 0, 0}, {1, 1, 1}, std::vector<double>(9, 0.0)};
  const Order order = stand(even, {{kNaN, 2, 0}, {kNaN, 1, 0}, {kNaN, 1, 0}}, 0);
  CHECK(order.placed[0].at == 2 && order.placed[1].at == 1 && order.placed[2].at == 0);
  CHECK(order.confidence == 0.5);
}

TEST(the_nearest_weights_at_which_another_wins_are_told) {
  const Order order = stand(kTwo, {{kNaN, 1, 0}, {kNaN, 3, 0}}, 0.01);
  CHECK(order.placed[0].at == 1);
  check::near(order.cheaper_from, 0.05, 1e-12);
  CHECK(order.dearer_until == 0);
  const Order other = stand(kTwo, {{kNaN, 1, 0}, {kNaN, 3, 0}}, 0.1);
  CHECK(other.placed[0].at == 0 && std::isinf(other.cheaper_from));
  check::near(other.dearer_until, 0.05, 1e-12);
}

TEST(sizes_that_do_not_fit_are_refused) {
  check::refused([] { stand(kTwo, {{0, 1, 0}}, 1); }, "got 1");
  check::refused([] { stand({}, {}, 1); }, "got 0");
}

int main() { return check::run(); }
