#include "check.hpp"
#include "laneway/embed.hpp"
#include "laneway/hashed.hpp"
#include "laneway/text.hpp"

namespace {

std::vector<float> hashed(std::string_view text, std::size_t places = 256) {
  std::vector<char32_t> points;
  laneway::decode({text, {}, text.size()}, points);
  laneway::Words words;
  words.split(points);
  std::vector<float> out(places);
  laneway::hash_words(words, out);
  return out;
}

double dot(const std::vector<float>& one, const std::vector<float>& other) {
  double sum = 0;
  for (std::size_t at = 0; at < one.size(); ++at) sum += static_cast<double>(one[at]) * other[at];
  return sum;
}

}  // namespace

TEST(like_texts_are_near_and_unlike_texts_are_not) {
  const auto one = hashed("the derivative of a function"), like = hashed("derivatives of functions"),
             unlike = hashed("who won the match");
  CHECK(dot(one, like) > dot(one, unlike) + 0.1);
}

TEST(order_of_words_counts_a_little) {
  const double swapped = dot(hashed("man bites dog"), hashed("dog bites man"));
  CHECK(swapped > 0.5 && swapped < 0.999);
}

TEST(a_text_has_length_one_and_nothing_has_none) {
  const auto one = hashed("x");
  check::near(dot(one, one), 1, 1e-5);
  const auto none = hashed(" ");
  CHECK(dot(none, none) == 0);
}

TEST(an_endless_word_is_read_at_its_beginning) { CHECK(hashed(std::string(300, 'a')) == hashed(std::string(400, 'a'))); }

TEST(the_whole_vector_has_length_one_even_without_words) {
  for (const std::string_view text : {"", "hello"}) {
    std::vector<float> out(64 + laneway::kShape);
    laneway::embed_hashed({text, {}, text.size()}, {}, out);
    check::near(dot(out, out), 1, 1e-5);
  }
}

int main() { return check::run(); }
