// Words of a text, as an uncased BERT tokenizer splits them before it looks at any vocabulary.
//
// Owns the splitting: accents and case go, punctuation marks and ideographs stand alone, controls vanish.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace laneway {

// Normalised words in UTF-8, one after another in `text`. Reused between calls so that a hot path allocates nothing.
class Words {
 public:
  // Replaces what was held by the words of `points`.
  void split(std::span<const char32_t> points);

  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t index) const {
    const std::uint32_t first = index ? ends_[index - 1] : 0;
    return {text_.data() + first, ends_[index] - first};
  }

 private:
  void close();
  void add(char32_t point, bool alone);
  void add_any(char32_t point);

  std::vector<char> text_;
  std::vector<std::uint32_t> ends_;
};

}  // namespace laneway
