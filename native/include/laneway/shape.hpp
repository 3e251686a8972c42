// The shape of a prompt: numbers that say what kind of text it is without reading it.
//
// Owns what is counted and the fixed constants it is scaled with. The numbers about the text come first, those about
// the request it arrived in last; a request without tools, history or limits has zeros there and is pulled nowhere.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace laneway {

inline constexpr std::size_t kTextShape = 19;
inline constexpr std::size_t kRequestShape = 5;
inline constexpr std::size_t kShape = kTextShape + kRequestShape;

// What surrounds the prompt in its request.
struct Setting {
  std::uint64_t tools = 0;
  std::uint64_t earlier_turns = 0;
  std::uint64_t system_characters = 0;
  bool structured = false;  // an answer in a prescribed format is asked for
  std::uint64_t max_tokens = 0;
};

using Shape = std::array<float, kShape>;

// As counted. `points` is what is looked at of a prompt of `characters` characters.
Shape measure(std::span<const char32_t> points, std::size_t characters, const Setting& setting);

// As compared: z-scores with fixed constants, clipped to 3 on either side, scaled to length 1 together.
Shape standardise(const Shape& shape);

}  // namespace laneway
