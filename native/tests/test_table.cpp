#include <cstring>
#include <span>

#include "check.hpp"
#include "laneway/table.hpp"
#include "laneway/text.hpp"
#include "laneway/words.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;
using List = std::vector<std::string>;

template <typename T>
void put(Bytes& out, T value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof value);
  std::memcpy(out.data() + at, &value, sizeof value);
}

// Two dimensions: token number n has the row (n + 1, -1) and the weight 100.
Bytes pack(const List& tokens) {
  Bytes out{'L', 'W', 'T', 'A', 'B', 'L', 'E', '1'};
  std::size_t length = 0;
  for (const std::string& token : tokens) length += token.size() + 1;
  put(out, static_cast<std::uint32_t>(tokens.size()));
  put(out, std::uint32_t{2});
  put(out, static_cast<std::uint32_t>(length));
  out.resize(32);
  for (std::size_t at = 0; at < tokens.size(); ++at) put(out, std::uint16_t{100});
  for (std::size_t at = 0; at < tokens.size(); ++at) {
    put(out, static_cast<std::int8_t>(at + 1));
    put(out, std::int8_t{-1});
  }
  for (const std::string& token : tokens) {
    out.push_back(static_cast<std::uint8_t>(token.size()));
    out.insert(out.end(), token.begin(), token.end());
  }
  return out;
}

List spell(const laneway::Table& table, std::string_view text) {
  std::vector<char32_t> points;
  laneway::decode({text, {}, text.size()}, points);
  laneway::Words words;
  words.split(points);
  std::vector<std::uint32_t> ids;
  table.tokenise(words, ids);
  List out;
  for (const std::uint32_t id : ids) out.emplace_back(table.token(id));
  return out;
}

const List kTokens{"un", "##aff", "##able", "affable", "a", "##a", "##", "#", "\u1112\u1161", "##\u11AB"};

}  // namespace

TEST(the_longest_piece_wins) {
  const laneway::Table table(pack(kTokens));
  CHECK(spell(table, "unaffable") == List{"un", "##aff", "##able"});
  CHECK(spell(table, "Affable aa") == List{"affable", "a", "##a"});
}

TEST(a_word_that_cannot_be_spelled_adds_nothing) {
  const laneway::Table table(pack(kTokens));
  CHECK(spell(table, "unx a") == List{"a"});
  CHECK(spell(table, "unaffableZ").empty());
}

TEST(hash_marks_are_words_and_no_continuations) {
  const laneway::Table table(pack(kTokens));
  CHECK(spell(table, "##a") == List({"#", "#", "a"}));
}

TEST(pieces_end_at_characters) {
  const laneway::Table table(pack(kTokens));
  CHECK(spell(table, "\uD55C") == List{"\u1112\u1161", "##\u11AB"});
}

TEST(a_word_of_more_than_a_hundred_characters_is_unknown) {
  const laneway::Table table(pack(kTokens));
  CHECK(spell(table, std::string(100, 'a')).size() == 100);
  CHECK(spell(table, std::string(101, 'a')).empty());
}

TEST(a_sum_is_weighted_and_has_length_one) {
  const laneway::Table table(pack({"x", "y"}));
  float out[2];
  const std::uint32_t ids[] = {0, 0, 1};
  table.sum(ids, out);
  check::near(out[0], 4 / 5.0, 1e-6);
  check::near(out[1], -3 / 5.0, 1e-6);
  table.sum({}, out);
  CHECK(out[0] == 0 && out[1] == 0);
}

TEST(the_most_tokens_of_the_heaviest_weight_do_not_overflow) {
  Bytes file = pack({"a"});
  file[32] = 16383 & 255, file[33] = 16383 >> 8, file[34] = 127, file[35] = static_cast<std::uint8_t>(-127);
  const laneway::Table table(file);
  const std::vector<std::uint32_t> ids(5000, 0);
  float out[2];
  table.sum(ids, out);
  check::near(out[0], std::sqrt(0.5), 1e-6);
  check::near(out[1], -std::sqrt(0.5), 1e-6);
}

TEST(damaged_files_are_refused) {
  const Bytes good = pack(kTokens);
  for (std::size_t size = 0; size < good.size(); ++size)
    check::refused([&] { laneway::Table{std::span<const std::uint8_t>(good).first(size)}; }, "token table");
  Bytes bad = good;
  bad[0] = 'X';
  check::refused([&] { laneway::Table{bad}; }, "begin");
  bad = good;
  bad[12] = 0;
  check::refused([&] { laneway::Table{bad}; }, "size");
  bad = good;
  bad[33] = 255;
  check::refused([&] { laneway::Table{bad}; }, "weight");
  bad = good;
  bad[bad.size() - kTokens.back().size() - 1] = 255;
  check::refused([&] { laneway::Table{bad}; }, "cut");
}

int main() { return check::run(); }
