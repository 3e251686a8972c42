#include "laneway/words.hpp"

#include <array>

#include "laneway/text.hpp"

namespace laneway {
namespace {

// Most text is ASCII: what each of its characters is and becomes, without a call.
struct Ascii {
  Kind kind = Kind::dropped;
  char folded = 0;
};

constexpr std::array<Ascii, 128> kAscii = [] {
  std::array<Ascii, 128> out{};
  for (char32_t point = 0; point < 128; ++point)
    out[point] = {kind_of_ascii(point), static_cast<char>(point >= 'A' && point <= 'Z' ? point + 32 : point)};
  return out;
}();

}  // namespace

void Words::close() {
  const auto end = static_cast<std::uint32_t>(text_.size());
  if (end > (ends_.empty() ? 0 : ends_.back())) ends_.push_back(end);
}

void Words::add(char32_t point, bool alone) {
  if (alone) close();
  append_utf8(point, text_);
  if (alone) close();
}

void Words::add_any(char32_t point) {
  const Kind kind = kind_of(point);
  if (kind == Kind::dropped) return;
  if (kind == Kind::space) return close();
  char32_t folded[4];
  const std::size_t count = fold(point, folded);
  for (std::size_t index = 0; index < count; ++index)
    add(folded[index], kind == Kind::ideograph || kind_of(folded[index]) == Kind::punctuation);
}

void Words::split(std::span<const char32_t> points) {
  text_.clear();
  ends_.clear();
  text_.reserve(points.size() * 4);
  for (const char32_t point : points) {
    if (point >= 128) {
      add_any(point);
      continue;
    }
    const Ascii ascii = kAscii[point];
    if (ascii.kind == Kind::dropped) continue;
    if (ascii.kind != Kind::word) close();
    if (ascii.kind == Kind::space) continue;
    text_.push_back(ascii.folded);
    if (ascii.kind == Kind::punctuation) close();
  }
  close();
}

}  // namespace laneway
