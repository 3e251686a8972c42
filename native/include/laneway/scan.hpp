// Scanning blocks of 4-bit codes: the one loop that touches every row, in as many instruction sets as there are machines.
//
// Owns the layout of a block and the choice of a kernel when the program runs. All kernels compute the same integers and
// the same floats, bit for bit. The files that implement them include this header and intrinsics, and nothing of the
// standard library with code in it: an inline function compiled there for a newer machine could be linked everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace laneway {

// Sixteen rows make a block, four blocks a strip. A strip's codes lie in the order in which they are read, because a
// processor that sees where a reader goes is there before it: eight dimensions of all 64 rows, then the next eight, and
// so on. One register takes such a group of one block, so that no sum runs across a register. Of a row's four bytes in a
// group, byte b holds dimension b in its lower half and dimension b + 4 in its upper half.
inline constexpr std::size_t kBlockRows = 16;
inline constexpr std::size_t kGroup = 8;
inline constexpr std::size_t kGroupBytes = kBlockRows * kGroup / 2;
inline constexpr std::size_t kStripBlocks = 4;
inline constexpr std::size_t kStripRows = kStripBlocks * kBlockRows;
inline constexpr std::size_t kStride = kStripBlocks * kGroupBytes;  // from one group of a block to its next

// Where a block's codes begin.
static constexpr std::size_t first_code(std::size_t block, std::size_t groups) {
  return block / kStripBlocks * groups * kStride + block % kStripBlocks * kGroupBytes;
}

// A code c from 0 to 15 stands for c - kMiddle, times a scale of its row.
inline constexpr float kMiddle = 7.5f;

// What is scanned, and for what; `first_row` is the number that its first row goes by. A row's score is (dot(query, codes) - offset) x its scale + weight x its bias, plus `pull`
// where tags are equal.
struct ScanTask {
  std::size_t blocks;
  std::uint32_t first_row;
  const std::uint8_t* codes;
  const float* scales;          // one per row
  const float* biases;          // one per row
  const std::uint16_t* tags;    // one per row
  const std::uint16_t* living;  // one bit per row, one word per block
  const std::int8_t* query;     // `groups` x 8 values
  std::size_t groups;
  float offset;                 // kMiddle x the sum of the query
  float weight;
  std::uint16_t tag;            // 0: the query has none, `tags` is not read
  float pull;
};

// Rows that score well, in the order they lie.
struct Catch {
  float* scores;
  std::uint32_t* rows;
  std::size_t size;
  std::size_t capacity;
};

// Catches the living rows that score above `threshold`, from block `first` on, before block `last` and until fewer than kStripRows
// places are free. Returns the block to go on with.
using ScanKernel = std::size_t (*)(const ScanTask& task, std::size_t first, std::size_t last, float threshold, Catch& out);

// The dot product of two vectors of floats. Sixteen sums run side by side and are added in halves, and products are rounded
// before they are added, so that every machine gets the same number.
using DotKernel = float (*)(const float* one, const float* other, std::size_t count);

// The same for one vector and many others, which may lie anywhere.
using DotsKernel = void (*)(const float* one, const float* const* others, std::size_t count, std::size_t dims, float* out);

// At most the score of the given rank (1 is the best), and close to it; there are at least so many scores.
using FloorKernel = float (*)(const float* scores, std::size_t size, std::size_t rank);

// Keeps what scores above `threshold`, in order; returns how many that are.
using SiftKernel = std::size_t (*)(float* scores, std::uint32_t* rows, std::size_t size, float threshold);

struct NamedKernel {
  const char* name;
  ScanKernel scan;
  DotKernel dot;
  DotsKernel dots;
  FloorKernel floor;
  SiftKernel sift;
};

// What this machine can run, best first; the last is always "portable". Ends with a null name.
const NamedKernel* kernels();

// The kernel of that name, or the best for a null name; null if this machine has no such kernel.
const NamedKernel* find_kernel(const char* name);

std::size_t scan_portable(const ScanTask&, std::size_t, std::size_t, float, Catch&);
std::size_t scan_avx2(const ScanTask&, std::size_t, std::size_t, float, Catch&);
std::size_t scan_avxvnni(const ScanTask&, std::size_t, std::size_t, float, Catch&);
std::size_t scan_avx512vnni(const ScanTask&, std::size_t, std::size_t, float, Catch&);
std::size_t scan_neondot(const ScanTask&, std::size_t, std::size_t, float, Catch&);

float dot_portable(const float*, const float*, std::size_t);
float dot_avx2(const float*, const float*, std::size_t);
float dot_avx512(const float*, const float*, std::size_t);

void dots_portable(const float*, const float* const*, std::size_t, std::size_t, float*);
void dots_avx2(const float*, const float* const*, std::size_t, std::size_t, float*);
void dots_avx512(const float*, const float* const*, std::size_t, std::size_t, float*);

float floor_portable(const float*, std::size_t, std::size_t);
float floor_avx2(const float*, std::size_t, std::size_t);
float floor_avx512(const float*, std::size_t, std::size_t);

std::size_t sift_portable(float*, std::uint32_t*, std::size_t, float);
std::size_t sift_avx512(float*, std::uint32_t*, std::size_t, float);

}  // namespace laneway
