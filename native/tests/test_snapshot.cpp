#include "check.hpp"
#include "laneway/rows.hpp"
#include "vectors.hpp"

namespace {

using laneway::Neighbours;
using laneway::Rows;

void fill(Rows& rows, vectors::Random& random) {
  std::vector<std::uint16_t> tags(50);
  std::vector<float> labels(100);
  for (auto& tag : tags) tag = static_cast<std::uint16_t>(random.below(3));
  for (float& label : labels) label = random.uniform();
  rows.insert({vectors::numbers(50, -5), vectors::units(random, 50, 12), tags, labels});
  rows.erase(vectors::numbers(5));
}

}  // namespace

TEST(what_is_loaded_is_what_was_saved) {
  vectors::Random random(1);
  Rows rows(12, 2, 0.2f), copy(12, 0, 0.2f);
  fill(rows, random);
  copy.load(rows.save());
  CHECK(copy.size() == 45 && copy.columns() == 2 && copy.save() == rows.save());
  CHECK(copy.totals().counts == rows.totals().counts);
  for (std::uint16_t tag = 0; tag < 3; ++tag) {
    const std::vector<float> query = vectors::units(random, 1, 12);
    Neighbours one, other;
    rows.search(query, tag, 20, one);
    copy.search(query, tag, 20, other);
    CHECK(one.ids == other.ids && one.similarities == other.similarities && one.labels == other.labels);
  }
}

TEST(loading_replaces_what_was_there) {
  vectors::Random random(2);
  Rows rows(12, 2, 0.2f), empty(12, 3, 0.2f);
  fill(rows, random);
  rows.load(empty.save());
  CHECK(rows.size() == 0 && rows.columns() == 3);
}

TEST(damage_is_refused_and_changes_nothing) {
  vectors::Random random(3);
  Rows rows(12, 2, 0.2f);
  fill(rows, random);
  const std::vector<std::uint8_t> good = rows.save();
  for (std::size_t size = 0; size < good.size(); size += 7)
    check::refused([&] { rows.load(std::span(good).first(size)); }, "snapshot");
  for (std::size_t at = 0; at < good.size(); at += 11) {
    std::vector<std::uint8_t> bad = good;
    bad[at] ^= 0x10;
    check::refused([&] { rows.load(bad); }, "snapshot");
  }
  CHECK(rows.save() == good);
}

TEST(another_space_is_refused) {
  vectors::Random random(4);
  Rows rows(12, 2, 0.2f), longer(13, 2, 0.2f), pulled(12, 2, 0.5f);
  fill(rows, random);
  const std::vector<std::uint8_t> saved = rows.save();
  check::refused([&] { longer.load(saved); }, "12 dimensions, expected 13");
  check::refused([&] { pulled.load(saved); }, "tag_pull");
}

int main() { return check::run(); }
