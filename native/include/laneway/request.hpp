// A plain request: the bytes of one read that are exactly one POST over HTTP/1.1, head and body.
//
// Owns: knowing such bytes, and where their parts stand. Refuses: to guess. Whatever is not whole, or might be read in two
// ways, or says anything that changes where the request ends or what becomes of its connection, is a full parser's.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

namespace laneway {

struct Field {
  std::string_view name, value;
};

// Views into the bytes that were read, but for the names: they stand here, in lower case.
struct Request {
  static constexpr std::size_t kMostFields = 64, kMostLetters = 1024;

  Request() = default;
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  std::string_view target, body;
  std::array<Field, kMostFields> all;
  std::size_t count = 0;
  std::array<char, kMostLetters> names;

  std::span<const Field> fields() const { return {all.data(), count}; }
};

// Whether these bytes are a plain request; `out` is of use only then.
bool read_request(std::string_view bytes, Request& out);

}  // namespace laneway
