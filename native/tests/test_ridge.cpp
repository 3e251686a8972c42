#include <limits>

#include "check.hpp"
#include "laneway/ridge.hpp"

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
using Floats = std::vector<float>;

std::vector<double> expect(const laneway::Ridge& ridge, const Floats& vector, std::size_t tag = 0) {
  std::vector<double> out(ridge.models());
  ridge.expect(vector, tag, out);
  return out;
}

}  // namespace

TEST(each_model_is_read_off_its_own_line) {
  const laneway::Ridge ridge(Floats{0.5f, 0.25f, -0.5f, 1.0f}, Floats{0, 0}, Floats{0.125f, 0.25f}, 1);
  CHECK((expect(ridge, {0.5f, 0.5f}) == std::vector<double>{0.5, 0.5}));
}

TEST(every_place_of_a_vector_counts_whatever_its_length) {
  for (std::size_t dims = 1; dims < 40; ++dims) {
    const laneway::Ridge ridge(Floats(dims, 0.0078125f), Floats{0}, Floats{0}, 1);
    check::near(expect(ridge, Floats(dims, 1.0f))[0], 0.0078125 * static_cast<double>(dims), 0);
  }
}

TEST(a_tag_adds_its_own_and_an_unknown_one_adds_nothing) {
  const laneway::Ridge ridge(Floats{0.5f}, Floats{0, 0.25f}, Floats{0.125f}, 0.5);
  CHECK(expect(ridge, {0.5f}, 1)[0] == (0.25 + 0.25) * 0.5 + 0.125);
  CHECK(expect(ridge, {0.5f}, 0)[0] == 0.375);
  CHECK(expect(ridge, {0.5f}, 2)[0] == 0.375);
}

TEST(a_score_is_from_0_to_1_or_not_known) {
  const laneway::Ridge ridge(Floats{8, -8, 1}, Floats{0, 0, 0}, Floats{0, 0, kNaN}, 1);
  const std::vector<double> told = expect(ridge, {1});
  CHECK(told[0] == 1);
  CHECK(told[1] == 0);
  CHECK(std::isnan(told[2]));
}

TEST(sizes_that_do_not_fit_are_refused) {
  check::refused([] { laneway::Ridge(Floats(5), Floats(2), Floats(2), 1); }, "coefficients");
  check::refused([] { laneway::Ridge(Floats(4), Floats(0), Floats(2), 1); }, "of_tags");
  check::refused([] { laneway::Ridge(Floats(4), Floats(3), Floats(2), 1); }, "of_tags");
  check::refused([] { laneway::Ridge({}, {}, {}, 1); }, "coefficients");
  const laneway::Ridge ridge(Floats(4), Floats(2), Floats(2), 1);
  check::refused([&] { expect(ridge, Floats(3)); }, "vector");
}

int main() { return check::run(); }
