#include "laneway/hashed.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

namespace laneway {
namespace {

// One start per kind of feature, so that a word and an equal n-gram do not meet on purpose.
enum Feature : std::uint64_t { word = 0x57, pair = 0x50, gram = 0x47 };

constexpr std::uint64_t kPrime = 0x100000001B3;
constexpr std::size_t kMaxWordBytes = 256;  // of a longer word only the beginning is looked at

std::uint64_t mix(std::uint64_t hash, std::string_view text) {
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * kPrime;
  return hash;
}

std::uint64_t begin(Feature feature) { return (0xCBF29CE484222325 ^ feature) * kPrime; }

// The product's high bits depend on every byte, its low bits do not: fold them together before use.
void put(std::uint64_t hash, float amount, std::span<float> out) {
  hash ^= hash >> 32;
  hash *= 0xD6E8FEB86659FD93;
  hash ^= hash >> 32;
  out[static_cast<std::size_t>(hash % out.size())] += hash >> 63 ? -amount : amount;
}

void put_grams(std::string_view text, std::span<float> out) {
  thread_local std::vector<char> bordered;
  bordered.assign(1, ' ');
  bordered.insert(bordered.end(), text.begin(), text.end());
  bordered.push_back(' ');
  const std::string_view all(bordered.data(), bordered.size());
  for (const std::size_t size : {std::size_t{3}, std::size_t{4}})
    for (std::size_t at = 0; at + size <= all.size(); ++at) put(mix(begin(gram), all.substr(at, size)), 0.5f, out);
}

}  // namespace

void hash_words(const Words& words, std::span<float> out) {
  std::ranges::fill(out, 0.0f);
  std::string_view before;
  for (std::size_t index = 0; index < words.size(); ++index) {
    const std::string_view text = words[index].substr(0, kMaxWordBytes);
    put(mix(begin(word), text), 1.0f, out);
    if (index) put(mix(mix(mix(begin(pair), before), " "), text), 1.0f, out);
    put_grams(text, out);
    before = text;
  }
  double square = 0;
  for (float& value : out) {
    square += std::abs(value);
    value = std::copysign(std::sqrt(std::abs(value)), value);
  }
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  for (float& value : out) value = static_cast<float>(value * scale);
}

}  // namespace laneway
