#include "laneway/rows.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>

#include "laneway/shortlist.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace laneway {
namespace {

constexpr std::size_t kMaxDims = 8192;
constexpr std::size_t kMaxColumns = 4096;
constexpr std::size_t kMaxRows = std::size_t{1} << 31;
constexpr double kUnitTolerance = 1e-3;
constexpr std::size_t kWorthCompacting = 64;
// What rounding floats may do to a score, where codes do nothing because all rows are the same.
constexpr float kFloatError = 1e-6f;
// From so many rows on the centre stays: it would hardly move, and coding all rows anew would be felt.
constexpr std::size_t kLastCentre = 4096;
constexpr float kMissing = std::numeric_limits<float>::quiet_NaN();

// Floats as integers that sort the same way (IEEE 754: sign and magnitude).
std::uint32_t ordered(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  return bits & 0x80000000 ? ~bits : bits | 0x80000000;
}

float from_ordered(std::uint32_t order) {
  return std::bit_cast<float>(order & 0x80000000 ? order & 0x7FFFFFFF : ~order);
}

// One integer per candidate that sorts by score, then by age: greater is better.
std::uint64_t key_of(float score, std::uint32_t row) { return std::uint64_t{ordered(score)} << 32 | ~row; }
float score_of(std::uint64_t key) { return from_ordered(static_cast<std::uint32_t>(key >> 32)); }
std::uint32_t row_of(std::uint64_t key) { return ~static_cast<std::uint32_t>(key); }

void check_unit(std::span<const float> vector, const char* what) {
  double square = 0;
  for (const float value : vector) square += static_cast<double>(value) * value;
  if (!(std::abs(std::sqrt(square) - 1) <= kUnitTolerance))
    throw std::invalid_argument(std::string(what) + " must have length 1; one has " + std::to_string(std::sqrt(square)));
}

std::size_t check_range(std::size_t value, std::size_t least, std::size_t most, const char* what) {
  if (value < least || value > most)
    throw std::invalid_argument(std::string(what) + " must be from " + std::to_string(least) + " to " +
                                std::to_string(most) + ", not " + std::to_string(value));
  return value;
}

const NamedKernel* check_kernel(const char* name) {
  const NamedKernel* kernel = find_kernel(name);
  if (!kernel) throw std::invalid_argument(std::string("this machine has no kernel named ") + name);
  return kernel;
}

float check_pull(float pull) {
  if (!(pull >= 0 && pull <= 100)) throw std::invalid_argument("tag_pull must be from 0 to 100");
  return pull;
}

std::size_t blocks_of(std::size_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

}  // namespace

void ask_for_huge_pages([[maybe_unused]] void* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(__linux__)
  madvise(memory, bytes, MADV_HUGEPAGE);
#endif
}

Rows::Rows(std::size_t dims, std::size_t columns, float tag_pull, const char* kernel)
    : dims_(check_range(dims, 1, kMaxDims, "dims")),
      coder_(dims),
      tag_pull_(check_pull(tag_pull)),
      tagged_norm_(std::sqrt(1 + tag_pull)),
      kernel_(check_kernel(kernel)),
      columns_(check_range(columns, 0, kMaxColumns, "columns")),
      centre_(dims),
      totals_{std::vector<double>(columns), std::vector<std::int64_t>(columns)} {}

std::size_t Rows::columns() const {
  const std::shared_lock lock(mutex_);
  return columns_;
}

std::size_t Rows::size() const {
  const std::shared_lock lock(mutex_);
  return places_.size();
}

std::size_t Rows::bytes() const {
  const std::shared_lock lock(mutex_);
  constexpr std::size_t kPerPlace = 3 * sizeof(void*) + sizeof(std::pair<std::int64_t, std::uint32_t>);
  return sizeof(Rows) + codes_.capacity() + (scales_.capacity() + biases_.capacity()) * sizeof(float) + tags_.capacity() * sizeof(std::uint16_t) +
         living_.capacity() * sizeof(std::uint16_t) + exact_.capacity() * sizeof(float) +
         ids_.capacity() * sizeof(std::int64_t) + labels_.capacity() * sizeof(float) + places_.size() * kPerPlace +
         places_.bucket_count() * sizeof(void*);
}

bool Rows::contains(std::int64_t id) const {
  const std::shared_lock lock(mutex_);
  return places_.contains(id);
}

void Rows::check(const Batch& batch) const {
  const std::size_t count = batch.ids.size();
  const auto expect = [&](std::size_t have, std::size_t want, const char* what) {
    if (have != want)
      throw std::invalid_argument(std::string(what) + ": expected " + std::to_string(want) + " values for " +
                                  std::to_string(count) + " rows, got " + std::to_string(have));
  };
  expect(batch.vectors.size(), count * dims_, "vectors");
  if (!batch.tags.empty()) expect(batch.tags.size(), count, "tags");
  if (!batch.labels.empty()) expect(batch.labels.size(), count * columns_, "labels");
  for (std::size_t at = 0; at < count; ++at) check_unit(batch.vectors.subspan(at * dims_, dims_), "vectors");
  for (const float label : batch.labels)
    if (!std::isnan(label) && !(label >= 0 && label <= 1))
      throw std::invalid_argument("labels must be from 0 to 1, or NaN where there is none");
  if (used_ + count > kMaxRows) throw std::invalid_argument("rows: too many");
}

void Rows::make_room(std::size_t rows) {
  const std::size_t room = blocks_of(rows) * kBlockRows;
  codes_.reserve(room * coder_.groups() * kGroup / 2);
  scales_.reserve(room);
  biases_.reserve(room);
  tags_.reserve(room);
  living_.reserve(room / kBlockRows);
  exact_.reserve(room * dims_);
  ids_.reserve(room);
  labels_.reserve(room * columns_);
  places_.reserve(rows);
}

void Rows::grow(std::size_t rows) {
  const std::size_t room = blocks_of(rows) * kBlockRows;
  if (room <= ids_.size()) return;
  // By a quarter, not by doubling: a thousand shelves at rest should not hold twice what they need.
  if (room > ids_.capacity()) make_room(std::max(room, used_ + used_ / 4));
  codes_.resize(room * coder_.groups() * kGroup / 2);
  scales_.resize(room);
  biases_.resize(room);
  tags_.resize(room);
  living_.resize(room / kBlockRows);
  exact_.resize(room * dims_);
  ids_.resize(room);
  labels_.resize(room * columns_, kMissing);
}

void Rows::reserve(std::size_t rows) {
  const std::unique_lock lock(mutex_);
  make_room(check_range(rows, 0, kMaxRows, "rows"));
}

// A row is coded as its difference from the centre, so that what all rows have in common costs no precision:
// q.w = (q - c).(w - c) + c.w + a number that is the same for all w.
void Rows::encode(std::size_t row) {
  thread_local std::vector<float> difference;
  const std::span<const float> vector = exact(row);
  const float norm = tags_[row] ? tagged_norm_ : 1.0f;
  difference.resize(dims_);
  for (std::size_t dim = 0; dim < dims_; ++dim) difference[dim] = vector[dim] / norm - centre_[dim];
  std::uint8_t* const block = codes_.data() + row / kBlockRows * coder_.groups() * kGroupBytes;
  scales_[row] = coder_.encode(difference, block + row % kBlockRows * kGroup / 2);
  biases_[row] = kernel_->dot(centre_.data(), vector.data(), dims_) / norm;
}

// Moves the centre to the mean of all rows and codes them anew.
void Rows::centre() {
  std::vector<double> sums(dims_);
  double squares = 0;
  for (std::size_t row = 0; row < used_; ++row) {
    const double norm = tags_[row] ? tagged_norm_ : 1.0;
    const std::span<const float> vector = exact(row);
    for (std::size_t dim = 0; dim < dims_; ++dim) sums[dim] += vector[dim] / norm;
    squares += lives(row) ? 1 / (norm * norm) : 0;
  }
  const double count = static_cast<double>(std::max<std::size_t>(places_.size(), 1));
  double square = 0;
  for (std::size_t dim = 0; dim < dims_; ++dim) {
    centre_[dim] = static_cast<float>(sums[dim] / count);
    square += static_cast<double>(centre_[dim]) * centre_[dim];
  }
  spread_ = static_cast<float>(std::sqrt(std::max(squares / count - square, 0.0)));
  for (std::size_t row = 0; row < used_; ++row) encode(row);
  next_centre_ = used_ < kLastCentre ? 2 * used_ : kMaxRows + 1;
}

void Rows::count_labels(std::size_t row, int sign) {
  for (std::size_t column = 0; column < columns_; ++column) {
    const float label = labels_[row * columns_ + column];
    if (std::isnan(label)) continue;
    totals_.sums[column] += sign * static_cast<double>(label);
    totals_.counts[column] += sign;
    // What additions of floats leave behind must not outlive the last label.
    if (totals_.counts[column] == 0) totals_.sums[column] = 0;
  }
}

void Rows::put(std::size_t row, std::span<const float> vector, std::uint16_t tag, const float* labels) {
  tags_[row] = tag;
  std::ranges::copy(vector, exact_.begin() + static_cast<std::ptrdiff_t>(row * dims_));
  for (std::size_t column = 0; column < columns_; ++column)
    labels_[row * columns_ + column] = labels ? labels[column] : kMissing;
  count_labels(row, 1);
}

void Rows::insert(const Batch& batch) {
  const std::unique_lock lock(mutex_);
  check(batch);
  grow(used_ + batch.ids.size());
  thread_local std::vector<std::size_t> touched;
  touched.clear();
  for (std::size_t at = 0; at < batch.ids.size(); ++at) {
    const auto [place, fresh] = places_.try_emplace(batch.ids[at], static_cast<std::uint32_t>(used_));
    const std::size_t row = place->second;
    if (!fresh) count_labels(row, -1);
    put(row, batch.vectors.subspan(at * dims_, dims_), batch.tags.empty() ? std::uint16_t{0} : batch.tags[at],
        batch.labels.empty() ? nullptr : batch.labels.data() + at * columns_);
    touched.push_back(row);
    if (!fresh) continue;
    ids_[row] = batch.ids[at];
    living_[row / kBlockRows] = static_cast<std::uint16_t>(living_[row / kBlockRows] | 1u << row % kBlockRows);
    ++used_;
  }
  if (used_ >= next_centre_) return centre();
  for (const std::size_t row : touched) encode(row);
}

void Rows::clear(std::size_t row) {
  tags_[row] = 0;
  ids_[row] = 0;
  living_[row / kBlockRows] = static_cast<std::uint16_t>(living_[row / kBlockRows] & ~(1u << row % kBlockRows));
  float* const vector = exact_.data() + row * dims_;
  std::fill(vector, vector + dims_, 0.0f);
  encode(row);
  std::fill_n(labels_.begin() + static_cast<std::ptrdiff_t>(row * columns_), columns_, kMissing);
}

std::size_t Rows::erase(std::span<const std::int64_t> ids) {
  const std::unique_lock lock(mutex_);
  std::size_t erased = 0;
  for (const std::int64_t id : ids) {
    const auto place = places_.find(id);
    if (place == places_.end()) continue;
    count_labels(place->second, -1);
    clear(place->second);
    places_.erase(place);
    ++erased;
  }
  const std::size_t dead = used_ - places_.size();
  if (dead >= kWorthCompacting && dead * 4 >= used_) compact();
  return erased;
}

void Rows::move(std::size_t from, std::size_t to) {
  tags_[to] = tags_[from];
  ids_[to] = ids_[from];
  living_[to / kBlockRows] = static_cast<std::uint16_t>(living_[to / kBlockRows] | 1u << to % kBlockRows);
  std::copy_n(exact_.data() + from * dims_, dims_, exact_.data() + to * dims_);
  std::copy_n(labels_.data() + from * columns_, columns_, labels_.data() + to * columns_);
  encode(to);
  places_[ids_[to]] = static_cast<std::uint32_t>(to);
  clear(from);
}

void Rows::compact() {
  std::size_t to = 0;
  for (std::size_t from = 0; from < used_; ++from) {
    if (!lives(from)) continue;
    if (from != to) move(from, to);
    ++to;
  }
  used_ = to;
}

void Rows::widen(std::size_t columns) {
  const std::unique_lock lock(mutex_);
  check_range(columns, columns_, kMaxColumns, "columns");
  std::vector<float> wider(ids_.size() * columns, kMissing);
  for (std::size_t row = 0; row < used_; ++row)
    std::copy_n(labels_.data() + row * columns_, columns_, wider.data() + row * columns);
  labels_ = std::move(wider);
  totals_.sums.resize(columns);
  totals_.counts.resize(columns);
  columns_ = columns;
}

float Rows::similarity(std::span<const float> query, std::uint16_t tag, std::size_t row) const {
  float raw = kernel_->dot(query.data(), exact_.data() + row * dims_, dims_);
  if (tag != 0 && tags_[row] == tag) raw += tag_pull_;
  return raw / ((tag ? tagged_norm_ : 1.0f) * (tags_[row] ? tagged_norm_ : 1.0f));
}

// Rows become keys that sort by similarity. They lie far apart: each is asked for while earlier ones are computed.
void Rows::rank(std::span<const float> query, std::uint16_t tag, std::span<const std::uint32_t> rows,
                std::vector<std::uint64_t>& keys) const {
  constexpr std::size_t kAhead = 6;
  const auto ask = [&](std::uint32_t row) {
    const auto* const bytes = reinterpret_cast<const char*>(exact_.data() + row * dims_);
    for (std::size_t line = 0; line < dims_ * sizeof(float); line += 64) __builtin_prefetch(bytes + line);
  };
  for (const std::uint32_t row : rows.first(std::min(kAhead, rows.size()))) ask(row);
  for (std::size_t at = 0; at < rows.size(); ++at) {
    if (at + kAhead < rows.size()) ask(rows[at + kAhead]);
    keys.push_back(key_of(similarity(query, tag, rows[at]), rows[at]));
  }
}

// Rows that may be among the `count` nearest.
std::span<const std::uint32_t> Rows::shortlist(std::span<const float> query, std::uint16_t tag, std::size_t count) const {
  thread_local Shortlist list;
  thread_local std::vector<float> difference;
  thread_local std::vector<std::int8_t> values;
  difference.resize(dims_);
  float square = 0;
  for (std::size_t dim = 0; dim < dims_; ++dim) {
    difference[dim] = query[dim] - centre_[dim];
    square += difference[dim] * difference[dim];
  }
  const float scale = coder_.encode_query(difference, values);
  const float per_score = scale > 0 ? 1 / scale : 1;
  const ScanTask task{codes_.data(),
                      scales_.data(),
                      biases_.data(),
                      tags_.data(),
                      living_.data(),
                      values.data(),
                      coder_.groups(),
                      kMiddle * static_cast<float>(std::accumulate(values.begin(), values.end(), 0)),
                      per_score,
                      tag,
                      tag_pull_ / tagged_norm_ * per_score};
  const float error = coder_.error() * std::sqrt(square) * spread_ + kFloatError;
  return list.find(*kernel_, task, blocks_of(used_), count, error * per_score);
}

void Rows::search(std::span<const float> query, std::uint16_t tag, std::size_t count, Neighbours& out) const {
  if (query.size() != dims_)
    throw std::invalid_argument("query: expected " + std::to_string(dims_) + " values, got " + std::to_string(query.size()));
  check_unit(query, "query");
  thread_local std::vector<std::uint64_t> keys;
  const std::shared_lock lock(mutex_);
  const std::size_t found = std::min(count, places_.size());
  keys.clear();
  if (found > 0) rank(query, tag, shortlist(query, tag, found), keys);
  const auto end = keys.begin() + static_cast<std::ptrdiff_t>(found);
  if (end != keys.end()) std::nth_element(keys.begin(), end, keys.end(), std::greater<>{});
  std::sort(keys.begin(), end, std::greater<>{});
  out.columns = columns_;
  out.ids.resize(found);
  out.similarities.resize(found);
  out.labels.resize(found * columns_);
  for (std::size_t at = 0; at < found; ++at) {
    const std::size_t row = row_of(keys[at]);
    out.ids[at] = ids_[row];
    out.similarities[at] = score_of(keys[at]);
    const float* const labels = labels_.data() + row * columns_;
    for (std::size_t column = 0; column < columns_; ++column) out.labels[at * columns_ + column] = labels[column];
  }
}

Totals Rows::totals() const {
  const std::shared_lock lock(mutex_);
  return totals_;
}

}  // namespace laneway
