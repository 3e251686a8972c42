#include <algorithm>

#include "check.hpp"
#include "laneway/shape.hpp"

namespace {

laneway::Shape measured(std::u32string_view text, const laneway::Setting& setting = {}) {
  return laneway::measure(std::span(text.data(), text.size()), text.size(), setting);
}

double count(float value) { return std::expm1(static_cast<double>(value)); }

}  // namespace

TEST(counts_are_what_a_reader_would_count) {
  const laneway::Shape shape = measured(U"What is 12 + 7?\nA. $x$ \\frac\n(b) ___\n```def f():\n```");
  check::near(count(shape[0]), 52, 1e-3);            // characters
  check::near(count(shape[1]), 13, 1e-3);            // words
  check::near(count(shape[3]), 4, 1e-3);             // newlines
  check::near(shape[4], 3 / 52.0, 1e-6);             // digits
  check::near(shape[5], 2 / 52.0, 1e-6);             // capitals
  check::near(shape[8], 4 / 52.0, 1e-6);             // brackets
  check::near(count(shape[10]), 1, 1e-3);            // question marks
  check::near(count(shape[11]), 2, 1e-3);            // numbers
  check::near(count(shape[12]), 3, 1e-3);            // LaTeX: $ $ \f
  check::near(count(shape[13]), 2, 1e-3);            // options
  check::near(count(shape[14]), 2, 1e-3);            // fences
  check::near(count(shape[15]), 1, 1e-3);            // programming words: def
  check::near(count(shape[16]), 15, 1e-3);           // longest line
  check::near(count(shape[17]), 1, 1e-3);            // blanks to fill in
  check::near(count(shape[18]), 1, 1e-3);            // asking words: What
}

TEST(an_option_begins_its_line) {
  check::near(count(measured(U"A) x\n B: y\n(c) z\nd.")[13]), 4, 1e-3);
  check::near(count(measured(U"see A) x\nAB. y\n1. z\nA.x")[13]), 0, 1e-3);
}

TEST(programming_words_keep_their_case_and_asking_words_do_not) {
  check::near(count(measured(U"SELECT select Return return None none")[15]), 3, 1e-3);
  check::near(count(measured(U"Why WHY why explains EXPLAIN")[18]), 4, 1e-3);
}

TEST(the_request_is_counted_last) {
  const laneway::Shape shape = measured(U"x", {3, 2, 1000, true, 4096});
  const double expected[] = {3, 2, 1000, std::expm1(1.0), 4096};
  for (std::size_t at = 0; at < laneway::kRequestShape; ++at)
    check::near(count(shape[laneway::kTextShape + at]) / expected[at], 1, 1e-4);
}

TEST(a_bare_request_is_pulled_nowhere) {
  const laneway::Shape shape = laneway::standardise(measured(U"hello"));
  for (std::size_t at = laneway::kTextShape; at < laneway::kShape; ++at) CHECK(shape[at] == 0);
}

TEST(a_standard_shape_has_length_one_and_no_part_dominates) {
  for (const std::u32string_view text : {U"", U"hello", U"((((((((((((((((((((((((((((", U"\u4F60\u597D"}) {
    const laneway::Shape shape = laneway::standardise(measured(text, {1000000, 1000000, 1000000, true, 1000000}));
    double square = 0;
    for (const float value : shape) square += static_cast<double>(value) * value;
    check::near(square, 1, 1e-5);
    CHECK(*std::ranges::max_element(shape) < 0.9f);
  }
}

int main() { return check::run(); }
