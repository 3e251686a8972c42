// Every kernel this machine has, beside the arithmetic written out.

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
      : groups(group_count), blocks(block_count), codes(groups * blocks * kGroupBytes), scales(blocks * kBlockRows),
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
      const std::uint8_t byte = codes[(row / kBlockRows * groups + dim / kGroup) * kGroupBytes + row % kBlockRows * 4 + at % 4];
      sum += query[dim] * (at < 4 ? byte & 15 : byte >> 4);
    }
    const float scaled = (static_cast<float>(sum) - task.offset) * scales[row];
    const float whole = scaled + task.weight * biases[row];
    return task.tag && tags[row] == task.tag ? whole + task.pull : whole;
  }
};

void compare(const NamedKernel& kernel, const Case& made, std::uint16_t tag, float threshold, std::size_t room) {
  const ScanTask task = made.task(tag);
  std::vector<float> expected;
  std::vector<std::uint32_t> expected_rows;
  for (std::uint32_t row = 0; row < made.blocks * kBlockRows; ++row) {
    const float score = made.score(task, row);
    if (!(score > threshold) || !(made.living[row / kBlockRows] >> row % kBlockRows & 1)) continue;
    expected.push_back(score);
    expected_rows.push_back(task.first_row + row);
  }
  std::vector<float> scores(room), all;
  std::vector<std::uint32_t> rows(room), all_rows;
  for (std::size_t block = 0; block < made.blocks;) {
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

int main() { return check::run(); }
