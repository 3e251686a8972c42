// One tenant's vectors with their tags and labels, searchable by cosine.
//
// Owns a table of rows: for each a 4-bit copy that is scanned and the float32 original that decides, an id, a tag and one
// label per column (NaN where there is none). Rows may be inserted, replaced and deleted at any time; a deleted row's
// content is overwritten at once and its place is taken by a later one. All methods may be called from several threads.
#pragma once

#include <cstdint>
#include <deque>
#include <shared_mutex>
#include <span>
#include <unordered_map>
#include <vector>

#include "laneway/code.hpp"
#include "laneway/scan.hpp"
#include "laneway/slab.hpp"

namespace laneway {

// Rows to be inserted, side by side. `tags` and `labels` may be empty: no tag, no label.
struct Batch {
  std::span<const std::int64_t> ids;
  std::span<const float> vectors;
  std::span<const std::uint16_t> tags;
  std::span<const float> labels;
};

// What a search found, nearest first; equally near rows in the order they lie, which a snapshot keeps.
struct Neighbours {
  std::vector<std::int64_t> ids;
  std::vector<float> similarities;
  std::vector<float> labels;  // of all columns for the first neighbour, then for the second, ...
  std::size_t columns = 0;
};

// Sum and number of the labels of each column.
struct Totals {
  std::vector<double> sums;
  std::vector<std::int64_t> counts;
};

// All rows, side by side in the order they lie.
struct Everything {
  std::vector<std::int64_t> ids;
  std::vector<float> vectors;
  std::vector<std::uint16_t> tags;
  std::vector<float> labels;
  std::size_t columns = 0;
};

class Rows {
 public:
  // `tag_pull` is the squared length of the tag's part of a vector, where the rest of the vector has length 1.
  // Throws std::invalid_argument for impossible sizes or a kernel that this machine has not.
  Rows(std::size_t dims, std::size_t columns, float tag_pull, const char* kernel = nullptr);

  std::size_t dims() const { return dims_; }
  std::size_t columns() const;
  std::size_t size() const;
  std::size_t bytes() const;  // of memory held
  float tag_pull() const { return tag_pull_; }
  const char* kernel() const { return kernel_->name; }
  bool contains(std::int64_t id) const;

  // Inserts, or replaces where the id is known. All or nothing: throws std::invalid_argument before anything changed.
  void insert(const Batch& batch);

  // The number of rows that were there.
  std::size_t erase(std::span<const std::int64_t> ids);

  // Adds columns without labels.
  void widen(std::size_t columns);

  void reserve(std::size_t rows);

  // The `count` nearest rows. A tag of 0 is no tag.
  void search(std::span<const float> query, std::uint16_t tag, std::size_t count, Neighbours& out) const;

  Totals totals() const;

  // How many rows have each tag; as long as the greatest tag there ever was.
  std::vector<std::size_t> tags() const;

  Everything everything() const;

  std::vector<std::uint8_t> save() const;

  // Throws std::invalid_argument if the bytes are not whole.
  void load(std::span<const std::uint8_t> bytes);

 private:
  // A row is counted through all slabs; this is where it lies.
  struct Place {
    Slab& slab;
    std::size_t at;
  };

  Place place(std::size_t row) const { return {slabs_[row / Slab::kRows], row % Slab::kRows}; }
  void check(const Batch& batch) const;
  void make_room(std::size_t rows);
  std::size_t take_row();
  void put(std::size_t row, const Batch& batch, std::size_t at);
  void encode(std::size_t row);
  void centre();
  void clear(std::size_t row);
  void move(std::size_t from, std::size_t to);
  void compact();
  void count_labels(std::span<const float> labels, int sign);
  void count_tag(std::uint16_t tag, bool more);
  std::span<const std::uint32_t> shortlist(std::span<const float> query, std::uint16_t tag, std::size_t count) const;
  void rank(std::span<const float> query, std::uint16_t tag, std::span<const std::uint32_t> rows,
            std::vector<std::uint64_t>& keys) const;

  const std::size_t dims_;
  const Coder coder_;
  const float tag_pull_;
  const float tagged_norm_;  // length of a vector of length 1 with a tag beside it
  const NamedKernel* const kernel_;

  mutable std::shared_mutex mutex_;
  std::size_t columns_;
  mutable std::deque<Slab> slabs_;  // `place` serves those who read and those who write
  std::size_t used_ = 0;  // rows, dead ones included
  std::vector<std::uint32_t> dead_;
  std::vector<float> centre_;     // what the codes are differences from
  float spread_ = 1;              // how long those differences are
  std::size_t next_centre_ = 64;  // at so many rows the centre is computed anew
  std::unordered_map<std::int64_t, std::uint32_t> places_;
  Totals totals_;
  std::vector<std::size_t> tagged_;
};

}  // namespace laneway
