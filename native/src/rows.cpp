#include "laneway/rows.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>

#include "laneway/keys.hpp"
#include "laneway/shortlist.hpp"

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
constexpr std::size_t kLastCentre = 2048;

void check_unit(std::span<const float> vector, const char* what) {
  // Side by side: one sum after the other would take as long as coding the vector.
  constexpr std::size_t kLanes = 8;
  double squares[kLanes] = {};
  std::size_t first = 0;
  for (; first + kLanes <= vector.size(); first += kLanes)
    for (std::size_t at = 0; at < kLanes; ++at) squares[at] += static_cast<double>(vector[first + at]) * vector[first + at];
  for (; first < vector.size(); ++first) squares[0] += static_cast<double>(vector[first]) * vector[first];
  const double square = std::accumulate(squares, squares + kLanes, 0.0);
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

}  // namespace

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
  std::size_t sum = sizeof(Rows) + dead_.capacity() * sizeof(std::uint32_t) + places_.size() * kPerPlace +
                    places_.bucket_count() * sizeof(void*);
  for (const Slab& slab : slabs_) sum += slab.bytes();
  return sum;
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

// The last slab grows by a quarter, and to its full size if more rows follow.
void Rows::make_room(std::size_t rows) {
  for (std::size_t slab = 0; slab * Slab::kRows < rows; ++slab) {
    const std::size_t need = std::min(rows - slab * Slab::kRows, Slab::kRows);
    if (slab == slabs_.size()) slabs_.emplace_back();
    if (need > slabs_[slab].room)
      slabs_[slab].grow(std::clamp(slabs_[slab].room * 5 / 4, need, Slab::kRows), dims_, coder_.groups(), columns_);
  }
}

void Rows::reserve(std::size_t rows) {
  const std::unique_lock lock(mutex_);
  check_range(rows, 0, kMaxRows, "rows");
  make_room(rows);
  places_.reserve(rows);
}

// A row is coded as its difference from the centre, so that what all rows have in common costs no precision:
// q.w = (q - c).(w - c) + c.w + a number that is the same for all w.
void Rows::encode(std::size_t row) {
  thread_local std::vector<float> difference;
  const auto [slab, at] = place(row);
  const float* const vector = slab.exact.data() + at * dims_;
  const float norm = slab.tags[at] ? tagged_norm_ : 1.0f;
  difference.resize(dims_);
  for (std::size_t dim = 0; dim < dims_; ++dim) difference[dim] = vector[dim] / norm - centre_[dim];
  std::uint8_t* const block = slab.codes.data() + first_code(at / kBlockRows, coder_.groups());
  slab.scales[at] = coder_.encode(difference, block + at % kBlockRows * kGroup / 2);
  slab.biases[at] = kernel_->dot(centre_.data(), vector, dims_) / norm;
}

// Moves the centre to the mean of all rows and codes them anew.
void Rows::centre() {
  std::vector<double> sums(dims_);
  double squares = 0;
  for (std::size_t row = 0; row < used_; ++row) {
    const auto [slab, at] = place(row);
    const double norm = slab.tags[at] ? tagged_norm_ : 1.0;
    for (std::size_t dim = 0; dim < dims_; ++dim) sums[dim] += slab.exact[at * dims_ + dim] / norm;
    squares += slab.lives(at) ? 1 / (norm * norm) : 0;
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

void Rows::count_labels(std::span<const float> labels, int sign) {
  for (std::size_t column = 0; column < columns_; ++column) {
    if (std::isnan(labels[column])) continue;
    totals_.sums[column] += sign * static_cast<double>(labels[column]);
    totals_.counts[column] += sign;
    // What additions of floats leave behind must not outlive the last label.
    if (totals_.counts[column] == 0) totals_.sums[column] = 0;
  }
}

void Rows::count_tag(std::uint16_t tag, bool more) {
  if (tag >= tagged_.size()) tagged_.resize(tag + std::size_t{1});
  more ? ++tagged_[tag] : --tagged_[tag];
}

std::size_t Rows::take_row() {
  if (dead_.empty()) return used_++;
  const std::size_t row = dead_.back();
  dead_.pop_back();
  return row;
}

// Everything of a row but its code.
void Rows::put(std::size_t row, const Batch& batch, std::size_t from) {
  const auto [slab, at] = place(row);
  const std::span<float> labels(slab.labels.data() + at * columns_, columns_);
  if (slab.lives(at)) {
    count_labels(labels, -1);
    count_tag(slab.tags[at], false);
  }
  slab.ids[at] = batch.ids[from];
  slab.tags[at] = batch.tags.empty() ? std::uint16_t{0} : batch.tags[from];
  count_tag(slab.tags[at], true);
  std::copy_n(batch.vectors.data() + from * dims_, dims_, slab.exact.data() + at * dims_);
  if (batch.labels.empty())
    std::ranges::fill(labels, kMissing);
  else
    std::copy_n(batch.labels.data() + from * columns_, columns_, labels.begin());
  count_labels(labels, 1);
  slab.set_living(at, true);
}

void Rows::insert(const Batch& batch) {
  const std::unique_lock lock(mutex_);
  check(batch);
  const std::size_t more = batch.ids.size() - std::min(batch.ids.size(), dead_.size());
  make_room(used_ + more);
  if (const std::size_t size = places_.size() + batch.ids.size(); size > places_.bucket_count()) places_.reserve(2 * size);
  thread_local std::vector<std::size_t> touched;
  touched.resize(batch.ids.size());
  for (std::size_t at = 0; at < batch.ids.size(); ++at) {
    const auto [known, fresh] = places_.try_emplace(batch.ids[at]);
    if (fresh) known->second = static_cast<std::uint32_t>(take_row());
    touched[at] = known->second;
    put(touched[at], batch, at);
  }
  if (used_ >= next_centre_) return centre();
  for (const std::size_t row : touched) encode(row);
}

void Rows::clear(std::size_t row) {
  const auto [slab, at] = place(row);
  slab.tags[at] = 0;
  slab.ids[at] = 0;
  slab.set_living(at, false);
  std::fill_n(slab.exact.data() + at * dims_, dims_, 0.0f);
  std::fill_n(slab.labels.data() + at * columns_, columns_, kMissing);
  encode(row);
}

std::size_t Rows::erase(std::span<const std::int64_t> ids) {
  const std::unique_lock lock(mutex_);
  const std::size_t before = places_.size();
  for (const std::int64_t id : ids) {
    const auto known = places_.find(id);
    if (known == places_.end()) continue;
    const auto [slab, at] = place(known->second);
    count_labels({slab.labels.data() + at * columns_, columns_}, -1);
    count_tag(slab.tags[at], false);
    clear(known->second);
    dead_.push_back(known->second);
    places_.erase(known);
  }
  const std::size_t erased = before - places_.size();
  if (dead_.size() >= kWorthCompacting && dead_.size() * 2 >= used_) compact();
  return erased;
}

void Rows::move(std::size_t from, std::size_t to) {
  const Place old = place(from), now = place(to);
  now.slab.tags[now.at] = old.slab.tags[old.at];
  now.slab.ids[now.at] = old.slab.ids[old.at];
  now.slab.set_living(now.at, true);
  std::copy_n(old.slab.exact.data() + old.at * dims_, dims_, now.slab.exact.data() + now.at * dims_);
  std::copy_n(old.slab.labels.data() + old.at * columns_, columns_, now.slab.labels.data() + now.at * columns_);
  encode(to);
  places_[now.slab.ids[now.at]] = static_cast<std::uint32_t>(to);
  clear(from);
}

// Closes the gaps, keeps the order, and gives back what lies behind. Done when half are gaps: each deletion has then paid
// for moving one row.
void Rows::compact() {
  std::size_t to = 0;
  for (std::size_t from = 0; from < used_; ++from) {
    const auto [slab, at] = place(from);
    if (!slab.lives(at)) continue;
    if (from != to) move(from, to);
    ++to;
  }
  used_ = to;
  dead_.clear();
  while (slabs_.size() > 1 && (slabs_.size() - 1) * Slab::kRows >= used_) slabs_.pop_back();
}

void Rows::widen(std::size_t columns) {
  const std::unique_lock lock(mutex_);
  check_range(columns, columns_, kMaxColumns, "columns");
  for (Slab& slab : slabs_) slab.widen(columns_, columns);
  totals_.sums.resize(columns);
  totals_.counts.resize(columns);
  columns_ = columns;
}

// Rows that may be among the `count` nearest.
std::span<const std::uint32_t> Rows::shortlist(std::span<const float> query, std::uint16_t tag, std::size_t count) const {
  thread_local Shortlist list;
  thread_local std::vector<ScanTask> tasks;
  thread_local std::vector<float> difference;
  thread_local std::vector<std::int8_t> values;
  difference.resize(dims_);
  for (std::size_t dim = 0; dim < dims_; ++dim) difference[dim] = query[dim] - centre_[dim];
  const float square = kernel_->dot(difference.data(), difference.data(), dims_);
  const float scale = coder_.encode_query(difference, values);
  const float per_score = scale > 0 ? 1 / scale : 1;
  const float offset = kMiddle * static_cast<float>(std::accumulate(values.begin(), values.end(), 0));
  tasks.clear();
  for (std::size_t first = 0; first < used_; first += Slab::kRows) {
    const Slab& slab = slabs_[first / Slab::kRows];
    const std::size_t blocks = (std::min(used_ - first, Slab::kRows) + kBlockRows - 1) / kBlockRows;
    tasks.push_back({blocks, static_cast<std::uint32_t>(first), slab.codes.data(), slab.scales.data(), slab.biases.data(),
                     slab.tags.data(), slab.living.data(), values.data(), coder_.groups(), offset, per_score, tag,
                     tag_pull_ / tagged_norm_ * per_score});
  }
  const float error = coder_.error() * std::sqrt(square) * spread_ + kFloatError;
  return list.find(*kernel_, tasks, count, error * per_score);
}

// Rows become keys that sort by similarity. They lie far apart, and so do their tags, which are read only if there are any.
void Rows::rank(std::span<const float> query, std::uint16_t tag, std::span<const std::uint32_t> rows,
                std::vector<std::uint64_t>& keys) const {
  thread_local std::vector<const float*> vectors;
  thread_local std::vector<float> dots;
  keys.resize(rows.size());
  vectors.resize(rows.size());
  dots.resize(rows.size());
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const auto [slab, here] = place(rows[at]);
    vectors[at] = slab.exact.data() + here * dims_;
  }
  kernel_->dots(query.data(), vectors.data(), rows.size(), dims_, dots.data());
  const bool tagged = tagged_[0] < places_.size();
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const auto [slab, here] = place(rows[at]);
    const std::uint16_t own = tagged ? slab.tags[here] : std::uint16_t{0};
    const float raw = tag != 0 && own == tag ? dots[at] + tag_pull_ : dots[at];
    keys[at] = key_of(raw / ((tag ? tagged_norm_ : 1.0f) * (own ? tagged_norm_ : 1.0f)), rows[at]);
  }
}

void Rows::search(std::span<const float> query, std::uint16_t tag, std::size_t count, Neighbours& out) const {
  if (query.size() != dims_)
    throw std::invalid_argument("query: expected " + std::to_string(dims_) + " values, got " + std::to_string(query.size()));
  check_unit(query, "query");
  thread_local std::vector<std::uint64_t> keys;
  const std::shared_lock lock(mutex_);
  const std::size_t found = std::min(count, places_.size());
  if (found == 0) keys.clear();
  if (found > 0) rank(query, tag, shortlist(query, tag, found), keys);
  const auto end = keys.begin() + static_cast<std::ptrdiff_t>(found);
  if (end != keys.end()) std::nth_element(keys.begin(), end, keys.end(), std::greater<>{});
  // Ids and labels lie far apart too, and come while keys are sorted.
  for (std::size_t at = 0; at < found; ++at) {
    const auto [slab, here] = place(row_of(keys[at]));
    __builtin_prefetch(slab.ids.data() + here);
    __builtin_prefetch(slab.labels.data() + here * columns_);
  }
  std::sort(keys.begin(), end, std::greater<>{});
  out.columns = columns_;
  out.ids.resize(found);
  out.similarities.resize(found);
  out.labels.resize(found * columns_);
  for (std::size_t at = 0; at < found; ++at) {
    const auto [slab, here] = place(row_of(keys[at]));
    out.ids[at] = slab.ids[here];
    out.similarities[at] = score_of(keys[at]);
    const float* const labels = slab.labels.data() + here * columns_;
    for (std::size_t column = 0; column < columns_; ++column) out.labels[at * columns_ + column] = labels[column];
  }
}

Totals Rows::totals() const {
  const std::shared_lock lock(mutex_);
  return totals_;
}

std::vector<std::size_t> Rows::tags() const {
  const std::shared_lock lock(mutex_);
  return tagged_;
}

Everything Rows::everything() const {
  const std::shared_lock lock(mutex_);
  Everything out;
  const std::size_t count = places_.size();
  out.columns = columns_;
  out.ids.reserve(count);
  out.tags.reserve(count);
  out.vectors.reserve(count * dims_);
  out.labels.reserve(count * columns_);
  const auto add = [](auto& to, const auto* first, std::size_t size) { to.insert(to.end(), first, first + size); };
  for (std::size_t row = 0; row < used_; ++row) {
    const auto [slab, at] = place(row);
    if (!slab.lives(at)) continue;
    out.ids.push_back(slab.ids[at]);
    out.tags.push_back(slab.tags[at]);
    add(out.vectors, slab.exact.data() + at * dims_, dims_);
    add(out.labels, slab.labels.data() + at * columns_, columns_);
  }
  return out;
}

}  // namespace laneway
