// Plain messages of HTTP/1.1: the bytes of one read that are exactly one request or one answer, head and body.
//
// Owns: knowing such bytes, and where their parts stand. Refuses: to guess. Whatever is not whole, or might be read in two
// ways, or says anything that changes where the message ends or what becomes of its connection, is a full parser's.
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
struct Message {
  static constexpr std::size_t kMostFields = 64, kMostLetters = 1024;

  Message() = default;
  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

  std::string_view target;  // of a request
  int status = 0;           // of an answer
  std::array<Field, kMostFields> all;
  std::size_t count = 0;
  std::array<char, kMostLetters> names;
  std::string_view body;

  std::span<const Field> fields() const { return {all.data(), count}; }
};

// Whether these bytes are a plain POST; `out` is of use only then.
bool read_request(std::string_view bytes, Message& out);

// The same of an answer, which is a final one with a body of a length that it tells.
bool read_answer(std::string_view bytes, Message& out);

}  // namespace laneway
