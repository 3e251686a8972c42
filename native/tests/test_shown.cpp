#include <limits>

#include "check.hpp"
#include "laneway/shown.hpp"

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

laneway::Neighbours three() {
  return {{7, -1, std::int64_t{1} << 40}, {0.75f, 0.5f, -0.25f}, {0, 1, 0.5f, kNaN, 0.25f, 0, 1, 1, 1}, 3};
}

const std::vector<std::uint32_t> kOuter = {0, 2};

}  // namespace

TEST(the_nearest_come_with_the_labels_that_are_asked_for) {
  const laneway::Shown shown(three(), 2, kOuter);
  CHECK(shown.size() == 2 && shown.columns() == 2);
  CHECK(shown.id(0) == 7 && shown.id(1) == -1);
  CHECK(shown.similarity(0) == 0.75f && shown.similarity(1) == 0.5f);
  CHECK(shown.label(0, 0) == 0 && shown.label(0, 1) == 0.5f && shown.label(1, 1) == 0);
  CHECK(std::isnan(shown.label(1, 0)));
}

TEST(no_more_are_shown_than_there_are) {
  const laneway::Shown all(three(), 9, {});
  CHECK(all.size() == 3 && all.columns() == 0 && all.id(2) == std::int64_t{1} << 40);
  CHECK(laneway::Shown({}, 9, {}).size() == 0);
}

TEST(packed_bytes_are_as_they_have_always_been) {
  const laneway::Neighbours one{{258}, {1.0f}, {0.5f}, 1};
  const std::vector<std::uint32_t> column = {0};
  const laneway::Shown shown(one, 1, column);
  const std::vector<std::uint8_t> expected = {2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x3F};
  CHECK(std::vector<std::uint8_t>(shown.packed().begin(), shown.packed().end()) == expected);
  const laneway::Shown again(expected, 1);
  CHECK(again.size() == 1 && again.id(0) == 258 && again.similarity(0) == 1 && again.label(0, 0) == 0.5f);
}

TEST(what_does_not_fit_is_refused) {
  const std::vector<std::uint32_t> fourth = {3};
  check::refused([&] { laneway::Shown(three(), 1, fourth); }, "only 3 columns");
  check::refused([] { laneway::Shown(std::vector<std::uint8_t>(17), 1); }, "17 bytes");
}

int main() { return check::run(); }
