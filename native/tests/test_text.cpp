#include "check.hpp"
#include "laneway/text.hpp"
#include "laneway/words.hpp"

using laneway::Passage;

namespace {

std::vector<std::string> words_of(std::string_view text) {
  std::vector<char32_t> points;
  laneway::decode({text, {}, text.size()}, points);
  laneway::Words words;
  words.split(points);
  std::vector<std::string> out;
  for (std::size_t at = 0; at < words.size(); ++at) out.emplace_back(words[at]);
  return out;
}

using List = std::vector<std::string>;

std::u32string points_of(std::string_view text) {
  std::vector<char32_t> points;
  laneway::decode({text, {}, text.size()}, points);
  return {points.begin(), points.end()};
}

}  // namespace

TEST(words_lose_case_and_accents) { CHECK(words_of("Héllo WÖRLD Ångström") == List{"hello", "world", "angstrom"}); }

TEST(punctuation_stands_alone) { CHECK(words_of("a,b (c)\u2026d") == List{"a", ",", "b", "(", "c", ")", "\u2026", "d"}); }

TEST(ideographs_stand_alone) { CHECK(words_of("x\u4F60\u597Dy") == List{"x", "\u4F60", "\u597D", "y"}); }

TEST(controls_vanish_within_a_word) { CHECK(words_of(std::string_view("a\0b\u200Dc\u0007", 8)) == List{"abc"}); }

TEST(every_kind_of_space_separates) { CHECK(words_of("a\tb\nc\rd\u00A0e\u2028f\u3000g") == List{"a", "b", "c", "d", "e", "f", "g"}); }

TEST(hangul_syllables_decompose) { CHECK(words_of("\uD55C\uAC00") == List{"\u1112\u1161\u11AB\u1100\u1161"}); }

TEST(capitals_beyond_the_first_plane_fold) { CHECK(words_of("\U00010400") == List{"\U00010428"}); }

TEST(nothing_has_no_words) { CHECK(words_of("").empty() && words_of(" \n\u0301 ").empty()); }

TEST(malformed_bytes_are_replaced_one_by_one) {
  CHECK(points_of("\xFF") == U"\uFFFD");
  CHECK(points_of("a\xC3(") == U"a\uFFFD(");
  CHECK(points_of("\xE2\x82") == U"\uFFFD");
  CHECK(points_of("\xED\xA0\x80") == U"\uFFFD");      // a surrogate
  CHECK(points_of("\xC0\xAF") == U"\uFFFD\uFFFD");    // overlong: the lead is no lead, its follower no lead either
  CHECK(points_of("\xF4\x90\x80\x80") == U"\uFFFD");  // beyond the last plane
}

TEST(only_the_two_ends_of_a_long_prompt_are_read) {
  const std::string head(2000, 'a'), tail(2000, 'b');
  std::vector<char32_t> points;
  laneway::decode({head, tail, 4000}, points);
  CHECK(points.size() == 2 * laneway::kSide + 1);
  CHECK(points[laneway::kSide - 1] == 'a' && points[laneway::kSide] == ' ' && points[laneway::kSide + 1] == 'b');
  points.clear();
  laneway::decode({head, {}, 2000}, points);
  CHECK(points.size() == 2 * laneway::kSide);
}

int main() { return check::run(); }
