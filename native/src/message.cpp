#include "laneway/message.hpp"

#include <algorithm>

namespace laneway {
namespace {

constexpr std::size_t kMostDigits = 9;

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr char lowered(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

template <typename Of>
constexpr std::array<char, 256> table(const Of& of) {
  std::array<char, 256> out{};
  for (std::size_t at = 0; at < out.size(); ++at) out[at] = of(static_cast<char>(at));
  return out;
}

// Fewer than the grammar allows: what nobody sends need not be fast.
constexpr auto kNames = table([](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_' ? lowered(c) : '\0'; });
constexpr auto kTargets = table([](char c) {
  const bool is_part = is_letter(c) || is_digit(c) || std::string_view("/-._~%?=&+:").find(c) != std::string_view::npos;
  return is_part ? c : '\0';
});
constexpr auto kValues = table([](char c) { return c == '\t' || (c >= ' ' && c != '\x7f') || c < '\0' ? '\1' : '\0'; });

char at(const std::array<char, 256>& of, char c) { return of[static_cast<unsigned char>(c)]; }

bool is_kept(std::string_view value) {
  constexpr std::string_view kKept = "keep-alive";
  return std::equal(value.begin(), value.end(), kKept.begin(), kKept.end(), [](char one, char kept) { return lowered(one) == kept; });
}

// What a field says of the message's end and of its connection.
class Framing {
 public:
  // False where it says something that is not plain.
  bool hear(const Field& field) {
    switch (field.name.size()) {
      case 6:
        return field.name != "expect";
      case 7:
        return field.name != "upgrade";
      case 10:
        return field.name != "connection" || is_kept(field.value);
      case 14:
        return field.name != "content-length" || set_length(field.value);
      case 16:
        return field.name != "proxy-connection";
      case 17:
        return field.name != "transfer-encoding";
      default:
        return true;
    }
  }

  bool ends(std::size_t length) const { return told_ && length == length_; }

 private:
  bool set_length(std::string_view digits) {
    if (told_ || digits.empty() || digits.size() > kMostDigits) return false;
    told_ = true;
    for (const char digit : digits) {
      if (!is_digit(digit)) return false;
      length_ = length_ * 10 + static_cast<std::size_t>(digit - '0');
    }
    return true;
  }

  bool told_ = false;
  std::size_t length_ = 0;
};

// So many bytes from the beginning on are in the table.
std::size_t run(const std::array<char, 256>& of, std::string_view bytes) {
  std::size_t length = 0;
  while (length < bytes.size() && at(of, bytes[length])) ++length;
  return length;
}

std::string_view take(std::string_view& bytes, std::size_t count) {
  const std::string_view taken = bytes.substr(0, count);
  bytes.remove_prefix(count);
  return taken;
}

bool take(std::string_view& bytes, std::string_view what) {
  if (!bytes.starts_with(what)) return false;
  bytes.remove_prefix(what.size());
  return true;
}

// The name of the next field, in lower case; empty where there is none or no room for it.
std::string_view take_name(std::string_view& bytes, Message& out, std::size_t& letters) {
  char* const begin = out.names.data() + letters;
  for (const char letter : bytes) {
    const char lower = at(kNames, letter);
    if (!lower) break;
    if (letters == out.names.size()) return {};
    out.names[letters++] = lower;
  }
  const auto length = static_cast<std::size_t>(out.names.data() + letters - begin);
  bytes.remove_prefix(length);
  return {begin, length};
}

// Parsers differ in what they do with an empty value, and with spaces and tabs about one.
bool is_plain(std::string_view value) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t'; };
  return !value.empty() && !is_blank(value.front()) && !is_blank(value.back());
}

// Fields up to the empty line, and all that follows as the body, if they say that it is that long.
bool take_rest(std::string_view bytes, Message& out) {
  Framing framing;
  out.count = 0;
  std::size_t letters = 0;
  while (!take(bytes, "\r\n")) {
    if (out.count == Message::kMostFields) return false;
    Field& field = out.all[out.count++];
    field.name = take_name(bytes, out, letters);
    if (field.name.empty() || !take(bytes, ":")) return false;
    take(bytes, " ");
    field.value = take(bytes, run(kValues, bytes));
    if (!is_plain(field.value) || !take(bytes, "\r\n") || !framing.hear(field)) return false;
  }
  out.body = bytes;
  return framing.ends(bytes.size());
}

}  // namespace

bool read_request(std::string_view bytes, Message& out) {
  if (!take(bytes, "POST ")) return false;
  out.target = take(bytes, run(kTargets, bytes));
  return out.target.starts_with('/') && take(bytes, " HTTP/1.1\r\n") && take_rest(bytes, out);
}

bool read_answer(std::string_view bytes, Message& out) {
  if (!take(bytes, "HTTP/1.1 ") || bytes.size() < 4) return false;
  out.status = 0;
  for (const char digit : take(bytes, std::size_t{3})) {
    if (!is_digit(digit)) return false;
    out.status = out.status * 10 + (digit - '0');
  }
  // Those that come before another one, or without a body whatever they say of it.
  if (out.status < 200 || out.status >= 600 || out.status == 204 || out.status == 304) return false;
  if (!take(bytes, " ")) return false;
  take(bytes, run(kValues, bytes));
  return take(bytes, "\r\n") && take_rest(bytes, out);
}

}  // namespace laneway
