#include <limits>

#include "check.hpp"
#include "laneway/vote.hpp"

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Doubles = std::vector<double>;

laneway::Ballot vote(const std::vector<float>& similarities, const std::vector<float>& labels, const Doubles& means) {
  std::vector<std::uint32_t> candidates(means.size());
  for (std::uint32_t at = 0; at < candidates.size(); ++at) candidates[at] = at;
  return laneway::vote(similarities, labels, means.size(), candidates, means);
}

}  // namespace

TEST(without_neighbours_the_mean_stands) {
  const laneway::Ballot ballot = vote({}, {}, {0.25, 0.5});
  CHECK((ballot.quality == Doubles{0.25, 0.5}) && (ballot.effective == Doubles{0, 0}));
  check::near(ballot.error[1], std::sqrt(0.25 / 3), 1e-12);
  CHECK(ballot.covariance[1] == 0);
}

TEST(equal_neighbours_weigh_the_same_and_three_pseudo_labels_hold_back) {
  const laneway::Ballot ballot = vote(std::vector<float>(10, 0.5f), std::vector<float>(10, 1.0f), {0.5});
  check::near(ballot.quality[0], (10 + 3 * 0.5) / 13, 1e-12);
  check::near(ballot.effective[0], 10, 1e-9);
}

TEST(nearer_neighbours_weigh_more) {
  const laneway::Ballot ballot = vote({0.9f, 0.5f}, {1, 0}, {0.5});
  // The reference is the last of two: distances 0.1 and 0.5, weights e^(0.4 / 0.15) and 1.
  const double heavy = std::exp(0.4 / 0.15), weight = 2 * heavy / (heavy + 1);
  check::near(ballot.quality[0], (weight + 1.5) / 5, 1e-6);
}

TEST(the_fortieth_neighbour_sets_the_width) {
  std::vector<float> similarities(60, 0.2f), labels(60, 0.0f);
  for (std::size_t at = 0; at < 40; ++at) similarities[at] = 0.6f;
  labels[0] = 1;
  const double far = std::exp((0.4 - 0.8) / 0.12), mean = (40 + 20 * far) / 60;
  check::near(vote(similarities, labels, {0.5}).quality[0], (1 / mean + 1.5) / 63, 1e-6);
}

TEST(copies_of_the_prompt_outvote_all_others) {
  std::vector<float> similarities(50, 1.0f), labels(50, 1.0f);
  similarities.resize(100, 0.99f);
  labels.resize(100, 0.0f);
  CHECK(vote(similarities, labels, {0.5}).quality[0] > 0.98);
}

TEST(missing_labels_count_for_nobody) {
  const laneway::Ballot ballot = vote({0.5f, 0.5f, 0.5f}, {1, kNaN, 1, kNaN, 1, 0.5f}, {0.5, 0.5});
  check::near(ballot.quality[0], 4.5 / 6, 1e-12);
  check::near(ballot.quality[1], 2.0 / 4, 1e-12);
  check::near(ballot.effective[1], 1, 1e-12);
  CHECK(ballot.error[1] > ballot.error[0]);
}

TEST(labels_that_rise_and_fall_together_are_known_to) {
  std::vector<float> labels;
  for (int at = 0; at < 40; ++at) labels.insert(labels.end(), {at % 2 ? 1.0f : 0.0f, at % 2 ? 0.9f : 0.1f, at % 2 ? 0.0f : 1.0f});
  const laneway::Ballot ballot = vote(std::vector<float>(40, 0.5f), labels, {0.5, 0.5, 0.5});
  CHECK(ballot.covariance[1] > 0 && ballot.covariance[2] < 0);
  CHECK(ballot.covariance[1] == ballot.covariance[3]);
  check::near(ballot.covariance[4], ballot.error[1] * ballot.error[1], 1e-15);
  CHECK(ballot.covariance[1] < ballot.error[0] * ballot.error[1]);
}

TEST(candidates_may_be_any_columns_in_any_order) {
  const std::vector<float> similarities{0.5f, 0.4f}, labels{0, 1, 0.5f, 0, 1, 0.5f};
  const std::vector<std::uint32_t> candidates{2, 0};
  const laneway::Ballot some = laneway::vote(similarities, labels, 3, candidates, Doubles{0.5, 0.5});
  const laneway::Ballot all = vote(similarities, labels, {0.5, 0.5, 0.5});
  CHECK(some.quality[0] == all.quality[2] && some.quality[1] == all.quality[0]);
}

TEST(bad_input_is_refused) {
  check::refused([] { vote({0.5f}, {1, 1}, {0.5}); }, "labels");
  check::refused([] { vote({kNaN}, {1}, {0.5}); }, "similarities");
  check::refused([] { vote({0.5f}, {1}, {1.5}); }, "means");
  check::refused([] { vote({0.5f}, {1}, {std::nan("")}); }, "means");
  check::refused([] { vote({0.5f}, {2}, {0.5}); }, "from 0 to 1");
  const std::vector<std::uint32_t> candidates{1};
  check::refused([&] { laneway::vote(std::vector<float>{0.5f}, std::vector<float>{1}, 1, candidates, Doubles{0.5}); }, "columns");
  check::refused([&] { laneway::vote(std::vector<float>{0.5f}, std::vector<float>{1, 1}, 2, candidates, Doubles{}); }, "means");
}

int main() { return check::run(); }
