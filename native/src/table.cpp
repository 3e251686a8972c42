#include "laneway/table.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace laneway {
namespace {

static_assert(std::endian::native == std::endian::little, "the packed table is little-endian");

constexpr std::string_view kMagic = "LWTABLE1";
constexpr std::size_t kHeader = 32;
constexpr std::uint32_t kNone = 0xFFFFFFFF;
constexpr std::size_t kMaxWordCharacters = 100;  // longer words are unknown, as in the tokenizer the table comes from
// kMaxTokens x 127 x this stays below 2^31, so a sum of rows cannot overflow.
constexpr std::uint16_t kMaxWeight = 16383;

constexpr std::uint64_t kStart = 0xCBF29CE484222325;
constexpr std::uint64_t kContinued = 0x9AE16A3B2F90404F;

constexpr std::uint64_t mix(std::uint64_t hash, char byte) {
  return (hash ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
}

std::uint64_t hash_of(std::string_view piece, bool continuation) {
  std::uint64_t hash = continuation ? kContinued : kStart;
  for (const char byte : piece) hash = mix(hash, byte);
  return hash;
}

bool is_continuation(std::string_view token) { return token.size() > 2 && token.starts_with("##"); }

std::size_t spread(std::uint64_t hash) { return static_cast<std::size_t>(hash ^ (hash >> 29)); }

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

std::uint32_t read_u32(std::span<const std::uint8_t> file, std::size_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, file.data() + at, sizeof value);
  return value;
}

template <typename Array>
std::size_t take(std::span<const std::uint8_t> file, std::size_t at, std::size_t count, Array& out) {
  constexpr std::size_t kSize = sizeof(typename Array::value_type);
  out.resize(count);
  if (count) std::memcpy(out.data(), file.data() + at, count * kSize);
  return at + count * kSize;
}

}  // namespace

Table::Table(std::span<const std::uint8_t> file) {
  if (file.size() < kHeader || std::memcmp(file.data(), kMagic.data(), kMagic.size()) != 0)
    throw std::invalid_argument("token table: the file does not begin with LWTABLE1");
  const std::uint64_t count = read_u32(file, 8), dims = read_u32(file, 12), length = read_u32(file, 16);
  if (dims == 0 || dims > 4096 || count > (1u << 24))
    throw std::invalid_argument("token table: impossible size in the header");
  if (file.size() != kHeader + count * 2 + count * dims + length)
    throw std::invalid_argument("token table: the file is " + std::to_string(file.size()) + " bytes long, its header says otherwise");
  dims_ = dims;
  std::size_t at = take(file, kHeader, count, weights_);
  at = take(file, at, count * dims, rows_);
  std::vector<std::uint8_t> packed;
  take(file, at, length, packed);
  for (std::size_t next = 0; next < packed.size(); next += 1 + packed[next]) {
    if (next + 1 + packed[next] > packed.size()) throw std::invalid_argument("token table: the last token is cut");
    const auto* first = reinterpret_cast<const char*>(packed.data()) + next + 1;
    text_.insert(text_.end(), first, first + packed[next]);
    ends_.push_back(static_cast<std::uint32_t>(text_.size()));
  }
  if (ends_.size() != count) throw std::invalid_argument("token table: tokens and rows differ in number");
  if (std::ranges::any_of(weights_, [](std::uint16_t weight) { return weight > kMaxWeight; }))
    throw std::invalid_argument("token table: a weight is above 16383");
  index_tokens();
}

void Table::index_tokens() {
  slots_.assign(std::bit_ceil(size() * 2 + 1), 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < size(); ++id) {
    std::string_view piece = token(id);
    const bool continuation = is_continuation(piece);
    if (continuation) piece.remove_prefix(2);
    longest_ = std::max(longest_, piece.size());
    std::size_t slot = spread(hash_of(piece, continuation)) & mask;
    while (slots_[slot]) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(id + 1);
  }
}

std::string_view Table::token(std::size_t id) const {
  const std::uint32_t first = id ? ends_[id - 1] : 0;
  return {text_.data() + first, ends_[id] - first};
}

std::uint32_t Table::find(std::uint64_t hash, std::string_view piece, bool continuation) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = spread(hash) & mask; slots_[slot]; slot = (slot + 1) & mask) {
    const std::uint32_t id = slots_[slot] - 1;
    std::string_view known = token(id);
    if (is_continuation(known) != continuation) continue;
    if (continuation) known.remove_prefix(2);
    if (known == piece) return id;
  }
  return kNone;
}

void Table::spell(std::string_view word, std::vector<std::uint32_t>& ids) const {
  if (static_cast<std::size_t>(std::count_if(word.begin(), word.end(), starts_character)) > kMaxWordCharacters) return;
  const std::size_t before = ids.size();
  std::uint64_t hashes[4 * kMaxWordCharacters + 1];
  for (std::size_t at = 0; at < word.size();) {
    const bool continuation = at > 0;
    const std::size_t most = std::min(word.size() - at, longest_);
    hashes[0] = continuation ? kContinued : kStart;
    for (std::size_t index = 0; index < most; ++index) hashes[index + 1] = mix(hashes[index], word[at + index]);
    std::uint32_t id = kNone;
    std::size_t length = most;
    for (; length > 0; --length) {
      const bool whole = at + length == word.size() || starts_character(word[at + length]);
      if (whole && (id = find(hashes[length], word.substr(at, length), continuation)) != kNone) break;
    }
    if (id == kNone) return ids.resize(before);
    ids.push_back(id);
    // Rows lie far apart and are wanted when all words are read: until then they have come.
    fetch(rows_.data() + std::size_t{id} * dims_, dims_);
    fetch(weights_.data() + id, 1);
    at += length;
  }
}

void Table::tokenise(const Words& words, std::vector<std::uint32_t>& ids) const {
  for (std::size_t index = 0; index < words.size() && ids.size() < kMaxTokens; ++index) spell(words[index], ids);
  if (ids.size() > kMaxTokens) ids.resize(kMaxTokens);
}

void Table::sum(std::span<const std::uint32_t> ids, std::span<float> out) const {
  thread_local std::vector<std::int32_t> totals;
  totals.assign(dims_, 0);
  std::int32_t* const total = totals.data();
  for (const std::uint32_t id : ids.first(std::min(ids.size(), kMaxTokens))) {
    const std::int8_t* const row = rows_.data() + std::size_t{id} * dims_;
    // Both factors in 16 bits: every instruction set multiplies those side by side, 32 bits not even each.
    const auto weight = static_cast<std::int16_t>(weights_[id]);
    for (std::size_t dim = 0; dim < dims_; ++dim) total[dim] += weight * static_cast<std::int16_t>(row[dim]);
  }
  double square = 0;
  for (const std::int32_t value : totals) square += static_cast<double>(value) * value;
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  for (std::size_t dim = 0; dim < dims_; ++dim) out[dim] = static_cast<float>(total[dim] * scale);
}

}  // namespace laneway
