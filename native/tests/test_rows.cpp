#include <algorithm>
#include <atomic>
#include <iterator>
#include <limits>
#include <thread>

#include "check.hpp"
#include "laneway/rows.hpp"
#include "vectors.hpp"

namespace {

using laneway::Neighbours;
using laneway::Rows;
using vectors::numbers;
using vectors::Random;
using vectors::units;

constexpr float kPull = 0.2f;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::span<const float> row(const std::vector<float>& all, std::size_t at, std::size_t dims) {
  return {all.data() + at * dims, dims};
}

double similarity(std::span<const float> one, std::span<const float> other, unsigned tag, unsigned other_tag) {
  double sum = tag && tag == other_tag ? kPull : 0;
  for (std::size_t at = 0; at < one.size(); ++at) sum += static_cast<double>(one[at]) * other[at];
  return sum / std::sqrt((tag ? 1 + kPull : 1.0) * (other_tag ? 1 + kPull : 1.0));
}

// The share of the true `count` nearest that a search finds; every similarity must be exact.
double recall(const Rows& rows, const std::vector<float>& all, const std::vector<std::uint16_t>& tags,
              std::span<const float> query, std::uint16_t tag, std::size_t count) {
  const std::size_t dims = query.size();
  std::vector<double> truth;
  for (std::size_t at = 0; at < tags.size(); ++at) truth.push_back(similarity(query, row(all, at, dims), tag, tags[at]));
  Neighbours found;
  rows.search(query, tag, count, found);
  CHECK(found.ids.size() == std::min(count, tags.size()));
  CHECK(std::ranges::is_sorted(found.similarities, std::greater<>{}));
  for (std::size_t at = 0; at < found.ids.size(); ++at)
    check::near(found.similarities[at], truth[static_cast<std::size_t>(found.ids[at])], 2e-6);
  std::ranges::sort(truth, std::greater<>{});
  const double last = truth[found.ids.size() - 1] - 2e-6;
  const auto right = std::ranges::count_if(found.similarities, [=](float value) { return value >= last; });
  return static_cast<double>(right) / static_cast<double>(found.ids.size());
}

void find_nearest(std::size_t dims, std::size_t count, float shift) {
  Random random(dims + count);
  const std::vector<float> all = units(random, count, dims, shift);
  std::vector<std::uint16_t> tags(count);
  for (auto& tag : tags) tag = static_cast<std::uint16_t>(random.below(4));
  Rows rows(dims, 0, kPull);
  rows.insert({numbers(count), all, tags, {}});
  const std::vector<float> queries = units(random, 20, dims, shift);
  double sum = 0;
  for (std::size_t at = 0; at < 20; ++at)
    sum += recall(rows, all, tags, row(queries, at, dims), static_cast<std::uint16_t>(at % 4), 20);
  CHECK(sum / 20 >= 0.99);
}

}  // namespace

TEST(the_nearest_are_found_in_every_size) {
  for (const std::size_t dims : {1, 3, 8, 128, 152, 200})
    for (const std::size_t count : {1, 15, 16, 17, 300, 5000}) find_nearest(dims, count, 0);
}

TEST(the_nearest_are_found_where_all_vectors_share_a_direction) { find_nearest(128, 5000, 2); }

TEST(the_nearest_are_found_where_each_row_is_nearer_than_all_before_it) {
  constexpr std::size_t kCount = 6000, kDims = 32;
  Random random(13);
  const std::vector<float> query = units(random, 1, kDims), drawn = units(random, kCount, kDims);
  std::vector<std::size_t> order(kCount);
  for (std::size_t at = 0; at < kCount; ++at) order[at] = at;
  std::ranges::sort(order, {}, [&](std::size_t at) { return similarity(query, row(drawn, at, kDims), 0, 0); });
  std::vector<float> all;
  for (const std::size_t at : order) std::ranges::copy(row(drawn, at, kDims), std::back_inserter(all));
  Rows rows(kDims, 0, kPull);
  rows.insert({numbers(kCount), all, {}, {}});
  const std::vector<std::uint16_t> untagged(kCount);
  for (const std::size_t count : {1, 20, 150, 1000}) CHECK(recall(rows, all, untagged, query, 0, count) >= 0.99);
}

TEST(the_nearest_are_found_where_all_rows_lie_in_tight_clusters) {
  constexpr std::size_t kCount = 5000, kClusters = 20, kDims = 64;
  Random random(14);
  const std::vector<float> centres = units(random, kClusters, kDims), drawn = units(random, kCount, kDims);
  std::vector<float> all(kCount * kDims);
  for (std::size_t at = 0; at < kCount; ++at) {
    double square = 0;
    for (std::size_t dim = 0; dim < kDims; ++dim) {
      float& value = all[at * kDims + dim];
      value = centres[at % kClusters * kDims + dim] + 0.05f * drawn[at * kDims + dim];
      square += static_cast<double>(value) * value;
    }
    for (std::size_t dim = 0; dim < kDims; ++dim) all[at * kDims + dim] /= static_cast<float>(std::sqrt(square));
  }
  Rows rows(kDims, 0, kPull);
  rows.insert({numbers(kCount), all, {}, {}});
  const std::vector<std::uint16_t> untagged(kCount);
  for (std::size_t at = 0; at < 20; ++at) CHECK(recall(rows, all, untagged, row(all, at, kDims), 0, 20) >= 0.99);
}

TEST(copies_are_found_in_the_order_of_insertion) {
  Random random(1);
  const std::vector<float> one = units(random, 1, 32);
  std::vector<float> all;
  for (int at = 0; at < 3000; ++at) all.insert(all.end(), one.begin(), one.end());
  Rows rows(32, 0, kPull);
  rows.insert({numbers(3000, 7), all, {}, {}});
  Neighbours found;
  rows.search(one, 0, 50, found);
  CHECK(found.ids == numbers(50, 7));
}

TEST(tags_are_counted_and_all_rows_can_be_read) {
  Random random(11);
  Rows rows(8, 1, kPull);
  const std::vector<float> all = units(random, 200, 8);
  std::vector<std::uint16_t> tags(200);
  std::vector<float> labels(200);
  for (std::size_t at = 0; at < 200; ++at) tags[at] = static_cast<std::uint16_t>(at % 3), labels[at] = static_cast<float>(at % 2);
  rows.insert({numbers(200), all, tags, labels});
  CHECK((rows.tags() == std::vector<std::size_t>{67, 67, 66}));
  const std::vector<std::uint16_t> fives(2, 5);
  rows.insert({numbers(2), std::span(all).first(16), fives, {}});
  CHECK((rows.tags() == std::vector<std::size_t>{66, 66, 66, 0, 0, 2}));
  // So many that the gaps are closed.
  rows.erase(numbers(150));
  CHECK((rows.tags() == std::vector<std::size_t>{17, 17, 16, 0, 0, 0}));
  Rows loaded(8, 0, kPull);
  loaded.load(rows.save());
  CHECK((loaded.tags() == std::vector<std::size_t>{17, 17, 16}));
  for (const Rows* const one : {&rows, &loaded}) {
    const laneway::Everything found = one->everything();
    CHECK(found.ids == numbers(50, 150));
    CHECK(std::ranges::equal(found.vectors, std::span(all).subspan(150 * 8)));
    CHECK(std::ranges::equal(found.tags, std::span(tags).subspan(150)));
    CHECK(std::ranges::equal(found.labels, std::span(labels).subspan(150)));
    CHECK(found.columns == 1);
  }
}

TEST(an_insertion_is_seen_by_the_next_search_and_a_deletion_too) {
  Random random(2);
  Rows rows(24, 1, kPull);
  std::vector<std::int64_t> alive;
  std::vector<float> all;
  for (std::int64_t id = 0; id < 600; ++id) {
    const std::vector<float> vector = units(random, 1, 24);
    rows.insert({std::span(&id, 1), vector, {}, {}});
    Neighbours found;
    rows.search(vector, 0, 1, found);
    CHECK(found.ids.at(0) == id);
    const std::int64_t gone = id / 2;
    if (id % 2 == 0) continue;
    CHECK(rows.erase(std::span(&gone, 1)) == 1 && rows.erase(std::span(&gone, 1)) == 0 && !rows.contains(gone));
    rows.search(vector, 0, 1000, found);
    CHECK(found.ids.size() == rows.size() && std::ranges::find(found.ids, gone) == found.ids.end());
  }
  CHECK(rows.size() == 300);
}

TEST(replacing_keeps_one_row_per_id) {
  Random random(3);
  const std::vector<float> before = units(random, 1, 16), after = units(random, 1, 16);
  Rows rows(16, 2, kPull);
  const std::int64_t id = 5;
  const float first[] = {0.25f, kNaN}, second[] = {kNaN, 1.0f};
  rows.insert({std::span(&id, 1), before, {}, first});
  CHECK((rows.totals().counts == std::vector<std::int64_t>{1, 0}));
  rows.insert({std::span(&id, 1), after, {}, second});
  CHECK(rows.size() == 1 && (rows.totals().counts == std::vector<std::int64_t>{0, 1}));
  CHECK((rows.totals().sums == std::vector<double>{0, 1}));
  Neighbours found;
  rows.search(after, 0, 5, found);
  CHECK(found.ids.size() == 1 && std::isnan(found.labels[0]) && found.labels[1] == 1);
  check::near(found.similarities[0], 1, 1e-6);
}

TEST(labels_follow_their_rows_through_widening_and_compaction) {
  Random random(4);
  const std::size_t count = 1000;
  const std::vector<float> all = units(random, count, 16);
  std::vector<float> labels(count);
  for (std::size_t at = 0; at < count; ++at) labels[at] = static_cast<float>(at) / count;
  Rows rows(16, 1, kPull);
  rows.insert({numbers(count), all, {}, labels});
  rows.widen(3);
  std::vector<std::int64_t> odd;
  for (std::int64_t id = 1; id < static_cast<std::int64_t>(count); id += 2) odd.push_back(id);
  CHECK(rows.erase(odd) == count / 2);
  for (std::size_t at = 0; at < count; at += 2) {
    Neighbours found;
    rows.search(row(all, at, 16), 0, 1, found);
    CHECK(found.columns == 3 && found.ids[0] == static_cast<std::int64_t>(at));
    CHECK(found.labels[0] == labels[at] && std::isnan(found.labels[1]) && std::isnan(found.labels[2]));
  }
  check::near(rows.totals().sums[0], 249.5, 1e-3);
}

TEST(rows_in_many_slabs_come_and_go_and_give_their_memory_back) {
  Random random(9);
  constexpr std::size_t kCount = 12000, kDims = 8;
  const std::vector<float> all = units(random, kCount, kDims);
  Rows rows(kDims, 0, kPull);
  rows.insert({numbers(kCount), all, {}, {}});
  std::vector<std::uint16_t> untagged(kCount);
  CHECK(recall(rows, all, untagged, row(all, 7, kDims), 0, 50) >= 0.9);
  const std::size_t full = rows.bytes();
  const std::vector<std::int64_t> most = numbers(9000, 3000);
  CHECK(rows.erase(most) == 9000 && rows.size() == 3000 && rows.bytes() < full / 2);
  Neighbours found;
  for (std::size_t at = 0; at < 3000; at += 97) {
    rows.search(row(all, at, kDims), 0, 1, found);
    CHECK(found.ids[0] == static_cast<std::int64_t>(at));
  }
  rows.insert({most, std::span(all).subspan(3000 * kDims), {}, {}});
  for (std::size_t at = 0; at < kCount; at += 97) {
    rows.search(row(all, at, kDims), 0, 1, found);
    CHECK(found.ids[0] == static_cast<std::int64_t>(at));
  }
}

TEST(rows_that_hardly_differ_are_still_told_apart_from_others) {
  std::vector<float> all;
  for (int at = 0; at < 2000; ++at) all.insert(all.end(), {1, at % 2 ? 1e-20f : -1e-20f, 0, 0});
  all.insert(all.end(), {0, 0, 1, 0});
  Rows rows(4, 0, kPull);
  rows.insert({numbers(2001), all, {}, {}});
  Neighbours found;
  rows.search(row(all, 2000, 4), 0, 1, found);
  CHECK(found.ids == numbers(1, 2000));
  rows.erase(found.ids);
  rows.insert({numbers(2000), std::span(all).first(8000), {}, {}});
  rows.search(row(all, 0, 4), 0, 30, found);
  CHECK(found.ids.size() == 30 && found.similarities.back() == 1);
}

TEST(a_deleted_rows_place_is_taken_again) {
  Random random(10);
  Rows rows(16, 0, kPull);
  rows.insert({numbers(100), units(random, 100, 16), {}, {}});
  const std::size_t full = rows.bytes();
  for (std::int64_t id = 0; id < 2000; ++id) {
    CHECK(rows.erase(std::span(&id, 1)) == 1);
    const std::int64_t next = id + 100;
    rows.insert({std::span(&next, 1), units(random, 1, 16), {}, {}});
  }
  CHECK(rows.size() == 100 && rows.bytes() <= full + 1024);
}

TEST(bad_input_changes_nothing) {
  Random random(5);
  const std::vector<float> good = units(random, 2, 8);
  const std::vector<std::int64_t> ids = numbers(2);
  Rows rows(8, 1, kPull);
  rows.insert({ids, good, {}, {}});
  const auto refused = [&](std::vector<float> vectors, std::vector<float> labels, const char* why) {
    check::refused([&] { rows.insert({ids, vectors, {}, labels}); }, why);
  };
  std::vector<float> bad = good;
  bad.pop_back();
  refused(bad, {}, "expected 16 values");
  for (const float value : {kNaN, std::numeric_limits<float>::infinity(), 3.0f}) {
    bad = good;
    bad[11] = value;
    refused(bad, {}, "length 1");
  }
  refused(good, {0.5f}, "labels");
  refused(good, {0.5f, 1.5f}, "from 0 to 1");
  refused(good, {0.5f, -0.5f}, "from 0 to 1");
  Neighbours found;
  check::refused([&] { rows.search(std::span(good).first(7), 0, 1, found); }, "expected 8 values");
  check::refused([&] { rows.search(std::vector<float>(8), 0, 1, found); }, "length 1");
  check::refused([&] { rows.widen(0); }, "columns");
  check::refused([&] { Rows(0, 0, kPull); }, "dims");
  check::refused([&] { Rows(8, 0, -1.0f); }, "tag_pull");
  check::refused([&] { Rows(8, 0, kPull, "abacus"); }, "abacus");
  rows.search(row(good, 1, 8), 0, 9, found);
  CHECK(rows.size() == 2 && found.ids[0] == 1);
}

TEST(an_empty_table_finds_nothing) {
  Random random(6);
  Rows rows(8, 2, kPull);
  Neighbours found;
  rows.search(units(random, 1, 8), 3, 10, found);
  CHECK(found.ids.empty() && found.similarities.empty() && found.labels.empty() && found.columns == 2);
}

TEST(searches_and_changes_may_meet) {
  Random random(7);
  const std::vector<float> all = units(random, 2000, 32);
  Rows rows(32, 1, kPull);
  std::atomic<bool> done = false, right = true;
  std::thread searcher([&] {
    Random mine(8);
    Neighbours found;
    while (!done) {
      rows.search(units(mine, 1, 32), 1, 30, found);
      right = right && found.ids.size() == found.similarities.size() && std::ranges::is_sorted(found.similarities, std::greater<>{});
    }
  });
  for (std::int64_t id = 0; id < 2000; ++id) {
    rows.insert({std::span(&id, 1), row(all, static_cast<std::size_t>(id), 32), {}, {}});
    const std::int64_t old = id - 200;
    if (id >= 200) rows.erase(std::span(&old, 1));
  }
  done = true;
  searcher.join();
  CHECK(right && rows.size() == 200);
}

int main() { return check::run(); }
