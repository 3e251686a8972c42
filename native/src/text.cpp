#include "laneway/text.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>

namespace laneway {
namespace {

struct Range {
  char32_t first, last;
};

struct Fold {
  char32_t from;
  char32_t to[4];  // ends at the first zero
};

#include "unicode_tables.inc"

constexpr Range kIdeographs[] = {
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},   {0xF900, 0xFAFF},   {0x20000, 0x2A6DF},
    {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF}, {0x2F800, 0x2FA1F},
};

constexpr char32_t kReplacement = 0xFFFD;
constexpr std::size_t kPlane = 0x10000;
constexpr std::uint8_t kFolds_bit = 0x80;

template <std::size_t N>
bool contains(const Range (&ranges)[N], char32_t point) {
  const auto* found = std::lower_bound(std::begin(ranges), std::end(ranges), point,
                                       [](const Range& range, char32_t value) { return range.last < value; });
  return found != std::end(ranges) && found->first <= point;
}

const Fold* find_fold(char32_t point) {
  const auto* found = std::lower_bound(std::begin(kFolds), std::end(kFolds), point,
                                       [](const Fold& fold, char32_t value) { return fold.from < value; });
  return found != std::end(kFolds) && found->from == point ? found : nullptr;
}

Kind classify(char32_t point) {
  if (point < 0x80) return kind_of_ascii(point);
  if (contains(kDropped, point)) return Kind::dropped;
  if (contains(kSpaces, point)) return Kind::space;
  if (contains(kPunctuation, point)) return Kind::punctuation;
  return contains(kIdeographs, point) ? Kind::ideograph : Kind::word;
}

// The first plane spelled out: one byte per code point, its kind and whether it folds.
class Plane {
 public:
  Plane() : bytes_(std::make_unique<std::array<std::uint8_t, kPlane>>()) {
    for (char32_t point = 0; point < kPlane; ++point) (*bytes_)[point] = static_cast<std::uint8_t>(classify(point));
    for (const Fold& fold : kFolds)
      if (fold.from < kPlane) (*bytes_)[fold.from] |= kFolds_bit;
  }
  std::uint8_t operator[](char32_t point) const { return (*bytes_)[point]; }

 private:
  std::unique_ptr<std::array<std::uint8_t, kPlane>> bytes_;
};

const Plane& plane() {
  static const Plane made;
  return made;
}

// Hangul syllables decompose by arithmetic: The Unicode Standard, section 3.12.
std::size_t fold_hangul(char32_t point, char32_t out[4]) {
  const char32_t index = point - 0xAC00;
  out[0] = 0x1100 + index / 588;
  out[1] = 0x1161 + index % 588 / 28;
  if (index % 28 == 0) return 2;
  out[2] = 0x11A7 + index % 28;
  return 3;
}

// One code point from valid or broken UTF-8 (RFC 3629); `at` moves past what was read.
char32_t next_point(std::string_view bytes, std::size_t& at) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
  const unsigned char lead = byte(at++);
  if (lead < 0x80) return lead;
  const int more = lead >= 0xF0 && lead < 0xF5 ? 3 : lead >= 0xE0 && lead < 0xF0 ? 2 : lead >= 0xC2 && lead < 0xE0 ? 1 : 0;
  if (more == 0) return kReplacement;
  char32_t point = lead & (0x3F >> more);
  for (int index = 0; index < more; ++index) {
    if (at >= bytes.size() || (byte(at) & 0xC0) != 0x80) return kReplacement;
    point = (point << 6) | (byte(at++) & 0x3F);
  }
  constexpr char32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
  const bool valid = point >= kLeast[more] && point <= 0x10FFFF && (point < 0xD800 || point > 0xDFFF);
  return valid ? point : kReplacement;
}

void decode_part(std::string_view part, std::size_t limit, std::vector<char32_t>& points) {
  const std::size_t end = points.size() + limit;
  for (std::size_t at = 0; at < part.size() && points.size() < end;) points.push_back(next_point(part, at));
}

}  // namespace

void decode(const Passage& passage, std::vector<char32_t>& points) {
  if (passage.tail.empty()) return decode_part(passage.head, 2 * kSide, points);
  decode_part(passage.head, kSide, points);
  points.push_back(U' ');
  decode_part(passage.tail, kSide, points);
}

Kind kind_of(char32_t point) {
  return point < kPlane ? static_cast<Kind>(plane()[point] & ~kFolds_bit) : classify(point);
}

std::size_t fold(char32_t point, char32_t out[4]) {
  if (point < 0x80) {
    out[0] = point >= 'A' && point <= 'Z' ? point + 32 : point;
    return 1;
  }
  if (point >= 0xAC00 && point < 0xD7A4) return fold_hangul(point, out);
  out[0] = point;
  if (point < kPlane && !(plane()[point] & kFolds_bit)) return 1;
  const Fold* found = find_fold(point);
  if (!found) return 1;
  const auto* end = std::find(std::begin(found->to), std::end(found->to), char32_t{0});
  std::copy(std::begin(found->to), end, out);
  return static_cast<std::size_t>(end - std::begin(found->to));
}

void append_utf8(char32_t point, std::vector<char>& out) {
  const auto put = [&](char32_t value) { out.push_back(static_cast<char>(value)); };
  if (point < 0x80) return put(point);
  if (point < 0x800) {
    put(0xC0 | (point >> 6));
  } else {
    if (point < 0x10000) {
      put(0xE0 | (point >> 12));
    } else {
      put(0xF0 | (point >> 18));
      put(0x80 | ((point >> 12) & 0x3F));
    }
    put(0x80 | ((point >> 6) & 0x3F));
  }
  put(0x80 | (point & 0x3F));
}

}  // namespace laneway
