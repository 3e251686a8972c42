// The packed token table: a WordPiece vocabulary and one int8 row per token, each with a weight.
//
// Owns the file format, greedy longest-first matching and the weighted sum of rows. The sum is done in integers, so it
// is the same on every machine whatever order a compiler adds in.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "laneway/memory.hpp"
#include "laneway/words.hpp"

namespace laneway {

class Table {
 public:
  // Copies what it needs. Throws std::invalid_argument saying what is wrong with the file.
  explicit Table(std::span<const std::uint8_t> file);

  std::size_t dims() const { return dims_; }
  std::size_t size() const { return weights_.size(); }

  // The vocabulary entry as it is spelled, continuations with their "##".
  std::string_view token(std::size_t id) const;

  // Appends the ids of the words' pieces, at most kMaxTokens. A word that cannot be spelled adds nothing.
  void tokenise(const Words& words, std::vector<std::uint32_t>& ids) const;

  // The weighted sum of the tokens' rows, scaled to length 1; zeros if there are none. `out` has dims() places.
  void sum(std::span<const std::uint32_t> ids, std::span<float> out) const;

  static constexpr std::size_t kMaxTokens = 1024;

 private:
  void index_tokens();
  std::uint32_t find(std::uint64_t hash, std::string_view piece, bool continuation) const;
  void spell(std::string_view word, std::vector<std::uint32_t>& ids) const;

  std::size_t dims_ = 0;
  Lines<std::int8_t> rows_;
  std::vector<std::uint16_t> weights_;
  std::vector<char> text_;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint32_t> slots_;  // open addressing, token id + 1
  std::size_t longest_ = 0;           // of any piece, in bytes
};

}  // namespace laneway
