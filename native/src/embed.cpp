#include "laneway/embed.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "laneway/hashed.hpp"
#include "laneway/words.hpp"

namespace laneway {
namespace {

constexpr double kShapeLength = 0.5;

// Reused by every call of one thread, so that embedding allocates nothing once it is warm.
struct Desk {
  std::vector<char32_t> points;
  Words words;
  std::vector<std::uint32_t> ids;

  void lay(const Passage& passage) {
    points.clear();
    ids.clear();
    decode(passage, points);
    words.split(points);
  }
};

Desk& desk() {
  thread_local Desk mine;
  return mine;
}

// The content part is already there, with length 1 or 0.
void join_shape(const Desk& desk, const Passage& passage, const Setting& setting, std::span<float> out) {
  const Shape shape = standardise(measure(desk.points, passage.characters, setting));
  const std::span<float> content = out.first(out.size() - kShape);
  double square = 0;
  for (const float value : content) square += static_cast<double>(value) * value;
  for (const float value : shape) square += kShapeLength * kShapeLength * value * value;
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  for (float& value : content) value = static_cast<float>(value * scale);
  std::ranges::transform(shape, out.last(kShape).begin(),
                         [&](float value) { return static_cast<float>(value * kShapeLength * scale); });
}

}  // namespace

void embed(const Table& table, const Passage& passage, const Setting& setting, std::span<float> out) {
  Desk& mine = desk();
  mine.lay(passage);
  table.tokenise(mine.words, mine.ids);
  table.sum(mine.ids, out.first(table.dims()));
  join_shape(mine, passage, setting, out);
}

void embed_hashed(const Passage& passage, const Setting& setting, std::span<float> out) {
  Desk& mine = desk();
  mine.lay(passage);
  hash_words(mine.words, out.first(out.size() - kShape));
  join_shape(mine, passage, setting, out);
}

}  // namespace laneway
