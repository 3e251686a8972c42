// Rows as bytes and back. Codes are not kept: they follow from the vectors, and half the bytes load sooner.

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <stdexcept>
#include <string>

#include "laneway/rows.hpp"

namespace laneway {
namespace {

static_assert(std::endian::native == std::endian::little, "snapshots are little-endian");

struct Header {
  char magic[8];
  std::uint32_t dims;
  std::uint32_t columns;
  std::uint64_t rows;
  float tag_pull;
  std::uint32_t reserved;
};
static_assert(sizeof(Header) == 32);

constexpr char kMagic[9] = "LWROWS01";

// Four independent lanes of multiply and rotate: finds damage, keeps out nobody.
std::uint64_t checksum(std::span<const std::uint8_t> bytes) {
  constexpr std::uint64_t kPrime = 0x9E3779B185EBCA87;
  std::uint64_t lanes[4] = {1, 2, 3, 4};
  const auto step = [&](std::uint64_t& lane, const std::uint8_t* at, std::size_t count) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, count);
    lane = std::rotl((lane ^ word) * kPrime, 31);
  };
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32)
    for (std::size_t lane = 0; lane < 4; ++lane) step(lanes[lane], bytes.data() + at + 8 * lane, 8);
  for (std::size_t lane = 0; at < bytes.size(); at += 8, lane = (lane + 1) % 4)
    step(lanes[lane], bytes.data() + at, std::min<std::size_t>(8, bytes.size() - at));
  std::uint64_t sum = bytes.size();
  for (const std::uint64_t lane : lanes) sum = (sum ^ lane) * kPrime;
  return sum ^ sum >> 32;
}

template <typename T>
std::uint8_t* write(std::uint8_t* at, const T* first, std::size_t count) {
  if (count) std::memcpy(at, first, count * sizeof(T));
  return at + count * sizeof(T);
}

template <typename T>
std::vector<T> take(std::span<const std::uint8_t>& bytes, std::size_t count) {
  std::vector<T> out(count);
  if (count) std::memcpy(out.data(), bytes.data(), count * sizeof(T));
  bytes = bytes.subspan(count * sizeof(T));
  return out;
}

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("snapshot: " + why); }

std::size_t bytes_per_row(const Header& header) {
  return sizeof(std::int64_t) + sizeof(std::uint16_t) + (std::size_t{header.dims} + header.columns) * sizeof(float);
}

Header read_header(std::span<const std::uint8_t> bytes) {
  Header header{};
  if (bytes.size() < sizeof header + sizeof(std::uint64_t)) refuse("too short to be one");
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof header.magic) != 0) refuse("does not begin with LWROWS01");
  const std::size_t content = bytes.size() - sizeof header - sizeof(std::uint64_t);
  if (header.rows > content / bytes_per_row(header) || header.rows * bytes_per_row(header) != content)
    refuse("its length does not fit its header");
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - sizeof sum, sizeof sum);
  if (sum != checksum(bytes.first(bytes.size() - sizeof sum))) refuse("damaged, the checksum differs");
  return header;
}

}  // namespace

std::vector<std::uint8_t> Rows::save() const {
  const std::shared_lock lock(mutex_);
  Header header{{}, static_cast<std::uint32_t>(dims_), static_cast<std::uint32_t>(columns_), places_.size(), tag_pull_, 0};
  std::memcpy(header.magic, kMagic, sizeof header.magic);
  std::vector<std::uint8_t> out(sizeof header + places_.size() * bytes_per_row(header) + sizeof(std::uint64_t));
  std::uint8_t* at = write(out.data(), &header, 1);
  const auto each_living = [&](const auto& visit) {
    for (std::size_t row = 0; row < used_; ++row)
      if (const auto [slab, here] = place(row); slab.lives(here)) visit(slab, here);
  };
  each_living([&](const Slab& slab, std::size_t here) { at = write(at, &slab.ids[here], 1); });
  each_living([&](const Slab& slab, std::size_t here) { at = write(at, &slab.tags[here], 1); });
  each_living([&](const Slab& slab, std::size_t here) { at = write(at, slab.exact.data() + here * dims_, dims_); });
  each_living([&](const Slab& slab, std::size_t here) { at = write(at, slab.labels.data() + here * columns_, columns_); });
  const std::uint64_t sum = checksum(std::span(out).first(out.size() - sizeof(std::uint64_t)));
  write(at, &sum, 1);
  return out;
}

void Rows::load(std::span<const std::uint8_t> bytes) {
  const Header header = read_header(bytes);
  if (header.dims != dims_)
    refuse("made of " + std::to_string(header.dims) + " dimensions, expected " + std::to_string(dims_));
  if (header.tag_pull != tag_pull_) refuse("made with another tag_pull");
  std::span<const std::uint8_t> rest = bytes.subspan(sizeof header);
  const auto ids = take<std::int64_t>(rest, header.rows);
  const auto tags = take<std::uint16_t>(rest, header.rows);
  const auto vectors = take<float>(rest, header.rows * header.dims);
  const auto labels = take<float>(rest, header.rows * header.columns);
  Rows fresh(dims_, header.columns, tag_pull_, kernel_->name);
  fresh.reserve(header.rows);
  fresh.insert({ids, vectors, tags, labels});
  const std::unique_lock lock(mutex_);
  columns_ = fresh.columns_;
  slabs_.swap(fresh.slabs_);
  used_ = fresh.used_;
  dead_.swap(fresh.dead_);
  centre_.swap(fresh.centre_);
  spread_ = fresh.spread_;
  next_centre_ = fresh.next_centre_;
  places_.swap(fresh.places_);
  std::swap(totals_, fresh.totals_);
  tagged_.swap(fresh.tagged_);
}

}  // namespace laneway
