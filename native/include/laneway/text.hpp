// Text as the core sees it: the part of a prompt that is looked at, as code points, and what each code point is.
//
// Owns UTF-8 decoding and the character classes of an uncased WordPiece tokenizer. Knows no vocabulary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace laneway {

// How many characters are looked at on each side of a long prompt.
inline constexpr std::size_t kSide = 512;

// What is looked at: all of a short prompt (`tail` is empty), or the two ends of a long one, in UTF-8.
struct Passage {
  std::string_view head;
  std::string_view tail;
  std::size_t characters = 0;  // of the whole prompt
};

enum class Kind : std::uint8_t { word, space, punctuation, ideograph, dropped };

// Appends the code points of both parts, a space between them. Malformed bytes become U+FFFD; no more than kSide
// characters of each part (twice that, if there is no tail) are taken.
void decode(const Passage& passage, std::vector<char32_t>& points);

Kind kind_of(char32_t point);

// The code point without accents and in lower case: at most four code points, written to `out`; their number.
std::size_t fold(char32_t point, char32_t out[4]);

void append_utf8(char32_t point, std::vector<char>& out);

constexpr Kind kind_of_ascii(char32_t point) {
  if (point == '\t' || point == '\n' || point == '\r' || point == ' ') return Kind::space;
  if (point < 0x20 || point == 0x7F) return Kind::dropped;
  const bool alphanumeric =
      (point >= '0' && point <= '9') || (point >= 'A' && point <= 'Z') || (point >= 'a' && point <= 'z');
  return alphanumeric ? Kind::word : Kind::punctuation;
}

}  // namespace laneway
