#include "laneway/code.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "laneway/scan.hpp"

namespace laneway {
namespace {

// The step between codes, in standard deviations: what rounds a normal distribution to sixteen levels with the least
// error (J. Max, Quantizing for minimum distortion, 1960, table II). Rotated dimensions are close to normal.
constexpr float kStep = 0.3352f;
constexpr float kDistortion = 0.01154f;  // the mean square error, by the same table

// Shorter than this is nothing: its inverse would not be a number any more.
constexpr float kNothing = 1e-30f;

// A fixed sequence of signs (Steele, Lea and Flood, 2014: SplitMix64). Changing it changes no result, only the codes.
float sign_of(std::uint64_t at) {
  std::uint64_t word = (at + 1) * 0x9E3779B97F4A7C15;
  word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9;
  word = (word ^ word >> 27) * 0x94D049BB133111EB;
  return word >> 63 ? -1.0f : 1.0f;
}

// The Walsh-Hadamard transform, in place; `size` is a power of two. Multiplies lengths by the root of `size`.
void transform(float* values, std::size_t size) {
  for (std::size_t half = 1; half < size; half *= 2) {
    for (std::size_t first = 0; first < size; first += 2 * half) {
      float* const low = values + first;
      float* const high = low + half;
      for (std::size_t at = 0; at < half; ++at) {
        const float sum = low[at] + high[at], difference = low[at] - high[at];
        low[at] = sum;
        high[at] = difference;
      }
    }
  }
}

}  // namespace

Coder::Coder(std::size_t dims)
    : dims_(dims),
      groups_((dims + kGroup - 1) / kGroup),
      span_(std::bit_floor(dims)),
      error_(std::sqrt(kDistortion / static_cast<float>(dims))),
      signs_(dims) {
  // The transform's factor goes into the signs.
  const float factor = 1 / std::sqrt(static_cast<float>(span_));
  for (std::size_t dim = 0; dim < dims; ++dim) signs_[dim] = sign_of(dim);
  std::ranges::for_each(signs_, [=](float& sign) { sign *= factor; });
}

// Two turns, of the first dimensions and of the last, overlap unless one takes them all; what a turn leaves out keeps
// its length, so that it has to be multiplied by the factor's inverse.
void Coder::rotate(std::span<const float> vector, float* out) const {
  const float back = std::sqrt(static_cast<float>(span_));
  for (std::size_t dim = 0; dim < dims_; ++dim) out[dim] = vector[dim] * signs_[dim];
  transform(out, span_);
  if (span_ == dims_) return;
  for (std::size_t dim = span_; dim < dims_; ++dim) out[dim] *= back;
  float* const last = out + (dims_ - span_);
  for (std::size_t dim = 0; dim < span_; ++dim) last[dim] *= signs_[dim];
  transform(last, span_);
}

// Sums run side by side, because a compiler may not change the order of one sum, and waiting for each addition would take
// longer than all the rest.
float Coder::encode(std::span<const float> vector, std::uint8_t* codes) const {
  constexpr std::size_t kLanes = kGroup;
  thread_local std::vector<float> turned;
  thread_local std::vector<std::int32_t> rounded;
  turned.assign(groups_ * kGroup, 0.0f);
  rounded.resize(turned.size());
  rotate(vector, turned.data());
  float squares[kLanes] = {}, alongs[kLanes] = {};
  for (std::size_t dim = 0; dim < turned.size(); dim += kLanes)
    for (std::size_t at = 0; at < kLanes; ++at) squares[at] += turned[dim + at] * turned[dim + at];
  const float square = std::accumulate(squares, squares + kLanes, 0.0f);
  const float inverse = square > kNothing ? std::sqrt(static_cast<float>(dims_) / square) / kStep : 0;
  for (std::size_t dim = 0; dim < turned.size(); dim += kLanes)
    for (std::size_t at = 0; at < kLanes; ++at) {
      // Above zero, cutting off is rounding down.
      const float level = std::min(std::max(turned[dim + at] * inverse + 8.0f, 0.0f), 15.5f);
      rounded[dim + at] = static_cast<std::int32_t>(level);
      alongs[at] += (static_cast<float>(rounded[dim + at]) - kMiddle) * turned[dim + at];
    }
  for (std::size_t group = 0; group < groups_; ++group)
    for (std::size_t at = 0; at < kGroup / 2; ++at) {
      const std::int32_t* const code = rounded.data() + group * kGroup + at;
      codes[group * kStride + at] = static_cast<std::uint8_t>(code[0] | code[kGroup / 2] << 4);
    }
  const float along = std::accumulate(alongs, alongs + kLanes, 0.0f);
  return inverse > 0 && along > 0 ? square / along : 0;
}

float Coder::encode_query(std::span<const float> query, std::vector<std::int8_t>& values) const {
  thread_local std::vector<float> turned;
  turned.assign(groups_ * kGroup, 0.0f);
  rotate(query, turned.data());
  float peaks[kGroup] = {};
  for (std::size_t dim = 0; dim < turned.size(); dim += kGroup)
    for (std::size_t at = 0; at < kGroup; ++at) {
      const float size = std::abs(turned[dim + at]);
      peaks[at] = size > peaks[at] ? size : peaks[at];
    }
  const float most = *std::max_element(peaks, peaks + kGroup);
  const float inverse = most > kNothing ? 127 / most : 0;
  values.resize(turned.size());
  // Rounding by adding: the conversion alone would round towards zero.
  for (std::size_t dim = 0; dim < turned.size(); ++dim)
    values[dim] = static_cast<std::int8_t>(turned[dim] * inverse + std::copysign(0.5f, turned[dim]));
  return inverse > 0 ? most / 127 : 0;
}

}  // namespace laneway
