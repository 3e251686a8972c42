// Every kernel this machine has, beside the arithmetic written out.

#include <algorithm>
#include <functional>

#include "check.hpp"
#include "laneway/scan.hpp"
#include "vectors.hpp"

namespace {

using namespace laneway;

struct Case {
  std::size_t groups, blocks;
  std::vector<std::uint8_t> codes;
  std::vector<float> scales, biases;
  std::vector<std::uint16_t> tags, living;
  std::vector<std::int8_t> query;

  Case(std::size_t group_count, std::size_t block_count, bool extreme)
      : groups(group_count), blocks(block_count), codes((blocks + kStripBlocks - 1) / kStripBlocks * groups * kStride), scales(blocks * kBlockRows),
        biases(scales.size()), tags(scales.size()), living(blocks), query(groups * kGroup) {
    vectors::Random random(groups * 1000 + blocks);
    for (auto& code : codes) code = extreme ? 255 : static_cast<std::uint8_t>(random.next());
    for (auto& value : query) value = extreme ? 127 : static_cast<std::int8_t>(static_cast<int>(random.below(255)) - 127);
    for (float& scale : scales) scale = random.uniform() * 0.01f;
    for (float& bias : biases) bias = random.uniform() - 0.5f;
    for (auto& tag : tags) tag = static_cast<std::uint16_t>(random.below(3) ? 65535 : random.below(2));
    for (auto& word : living) word = static_cast<std::uint16_t>(random.next());
  }

  ScanTask task(std::uint16_t tag) const {
    std::int32_t sum = 0;
    for (const std::int8_t value : query) sum += value;
    return {blocks, 1000, codes.data(), scales.data(), biases.data(), tags.data(), living.data(), query.data(), groups,
            kMiddle * static_cast<float>(sum), 3.5f, tag, 2.25f};
  }

  float score(const ScanTask& task, std::size_t row) const {
    std::int32_t sum = 0;
    for (std::size_t dim = 0; dim < groups * kGroup; ++dim) {
      const std::size_t at = dim % kGroup;
      const std::uint8_t byte = codes[first_code(row / kBlockRows, groups) + dim / kGroup * kStride + row % kBlockRows * 4 + at % 4];
      sum += query[dim] * (at < 4 ? byte & 15 : byte >> 4);
    }
    const float scaled = (static_cast<float>(sum) - task.offset) * scales[row];
    const float whole = scaled + task.weight * biases[row];
    return task.tag && tags[row] == task.tag ? whole + task.pull : whole;
  }
};

void compare(const NamedKernel& kernel, const Case& made, std::uint16_t tag, float threshold, std::size_t room,
             std::size_t first = 0) {
  const ScanTask task = made.task(tag);
  std::vector<float> expected;
  std::vector<std::uint32_t> expected_rows;
  for (auto row = static_cast<std::uint32_t>(first * kBlockRows); row < made.blocks * kBlockRows; ++row) {
    const float score = made.score(task, row);
    if (!(score > threshold) || !(made.living[row / kBlockRows] >> row % kBlockRows & 1)) continue;
    expected.push_back(score);
    expected_rows.push_back(task.first_row + row);
  }
  std::vector<float> scores(room), all;
  std::vector<std::uint32_t> rows(room), all_rows;
  for (std::size_t block = first; block < made.blocks;) {
    Catch caught{scores.data(), rows.data(), 0, room};
    const std::size_t next = kernel.scan(task, block, made.blocks, threshold, caught);
    check::that(next > block && caught.size <= room, kernel.name);
    all.insert(all.end(), scores.begin(), scores.begin() + static_cast<std::ptrdiff_t>(caught.size));
    all_rows.insert(all_rows.end(), rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(caught.size));
    block = next;
  }
  check::that(all_rows == expected_rows && all == expected, kernel.name);
}

}  // namespace

TEST(the_list_ends_with_the_portable_kernel) {
  const NamedKernel* last = nullptr;
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel) last = kernel;
  CHECK(last && std::string(last->name) == "portable");
  CHECK(find_kernel("abacus") == nullptr);
  CHECK(find_kernel(nullptr) == kernels());
}

TEST(all_kernels_catch_the_same_rows_with_the_same_scores) {
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
    for (const std::size_t groups : {1, 2, 3, 4, 5, 9, 19, 33})
      for (const std::size_t blocks : {1, 2, 3, 4, 5, 11})
        for (const std::uint16_t tag : {0, 1, 65535})
          for (const float threshold : {-1e30f, 0.0f, 1.5f})
            compare(*kernel, Case(groups, blocks, false), tag, threshold, 4 * kStripRows);
}

TEST(the_largest_products_do_not_overflow) {
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
    for (const std::size_t groups : {4, 8, 17, 1024}) compare(*kernel, Case(groups, 4, true), 0, -1e30f, kStripRows);
}

TEST(a_small_catch_is_filled_and_scanning_goes_on) {
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
    compare(*kernel, Case(3, 37, false), 0, -1e30f, kStripRows + 5);
}

TEST(scanning_begins_anywhere_in_a_strip) {
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
    for (const std::size_t first : {1, 2, 3, 4, 7, 10}) compare(*kernel, Case(5, 11, false), 1, 0, 4 * kStripRows, first);
}

TEST(all_dot_products_are_the_same_to_the_last_bit) {
  vectors::Random random(9);
  for (const std::size_t count : {0, 1, 7, 15, 16, 17, 31, 128, 152, 1000}) {
    std::vector<float> one(count), other(count);
    for (float& value : one) value = random.normal();
    for (float& value : other) value = random.normal();
    double sum = 0;
    for (std::size_t at = 0; at < count; ++at) sum += static_cast<double>(one[at]) * other[at];
    for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel) {
      const float dot = kernel->dot(one.data(), other.data(), count);
      check::that(dot == dot_portable(one.data(), other.data(), count), kernel->name);
      check::near(dot, sum, 1e-4);
    }
  }
}

TEST(many_dot_products_are_those_of_each) {
  vectors::Random random(10);
  for (const std::size_t dims : {1, 16, 128, 152})
    for (const std::size_t count : {0, 1, 3, 4, 9}) {
      std::vector<float> one(dims), others(dims * count);
      for (float& value : one) value = random.normal();
      for (float& value : others) value = random.normal();
      std::vector<const float*> places(count);
      // From the last to the first, as they may lie anywhere.
      for (std::size_t at = 0; at < count; ++at) places[at] = others.data() + (count - 1 - at) * dims;
      for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel) {
        std::vector<float> dots(count);
        kernel->dots(one.data(), places.data(), count, dims, dots.data());
        for (std::size_t at = 0; at < count; ++at)
          check::that(dots[at] == dot_portable(one.data(), places[at], dims), kernel->name);
      }
    }
}

TEST(a_floor_is_passed_by_all_that_are_better_and_is_the_same_everywhere) {
  vectors::Random random(11);
  for (const std::size_t size : {1, 2, 15, 16, 17, 100, 333}) {
    std::vector<float> scores(size);
    for (float& score : scores) score = random.normal();
    std::vector<float> sorted = scores;
    std::ranges::sort(sorted, std::greater<>{});
    for (std::size_t rank = 1; rank <= size; rank = 2 * rank + 1) {
      const float floor = floor_portable(scores.data(), size, rank);
      CHECK(floor <= sorted[rank - 1] && sorted[rank - 1] - floor <= (sorted.front() - sorted.back()) / 1000);
      for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
        check::that(kernel->floor(scores.data(), size, rank) == floor, kernel->name);
    }
  }
}

TEST(sifting_keeps_what_is_above_in_order) {
  vectors::Random random(12);
  for (const NamedKernel* kernel = kernels(); kernel->name; ++kernel)
    for (const std::size_t size : {0, 1, 16, 31, 200})
      for (const float threshold : {-9.0f, 0.0f, 1.0f, 9.0f}) {
        std::vector<float> scores(size), kept;
        std::vector<std::uint32_t> rows(size), kept_rows;
        for (std::size_t at = 0; at < size; ++at) {
          scores[at] = at % 7 == 3 ? threshold : random.normal();
          rows[at] = static_cast<std::uint32_t>(1000 + at);
          if (scores[at] > threshold) kept.push_back(scores[at]), kept_rows.push_back(rows[at]);
        }
        const std::size_t left = kernel->sift(scores.data(), rows.data(), size, threshold);
        scores.resize(left), rows.resize(left);
        check::that(scores == kept && rows == kept_rows, kernel->name);
      }
}

int main() { return check::run(); }
