#include <string>

#include "check.hpp"
#include "laneway/request.hpp"

namespace {

const std::string kHead = "POST /v1/messages?a=%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n";

bool is_read(const std::string& bytes) {
  laneway::Request read;
  return laneway::read_request(bytes, read);
}

}  // namespace

TEST(the_parts_of_a_plain_request_are_found) {
  const std::string bytes = kHead + "X-A: b c\r\n\r\n{ }";
  laneway::Request read;
  CHECK(laneway::read_request(bytes, read));
  CHECK(read.target == "/v1/messages?a=%20b");
  CHECK(read.body == "{ }");
  CHECK(read.fields().size() == 3);
  CHECK(read.fields()[0].name == "host" && read.fields()[0].value == "a");
  CHECK(read.fields()[1].name == "content-length" && read.fields()[1].value == "3");
  CHECK(read.fields()[2].name == "x-a" && read.fields()[2].value == "b c");
}

TEST(every_part_of_a_request_alone_is_none) {
  const std::string whole = kHead + "\r\n{ }";
  CHECK(is_read(whole));
  for (std::size_t end = 0; end < whole.size(); ++end) CHECK(!is_read(whole.substr(0, end)));
  for (std::size_t begin = 1; begin < whole.size(); ++begin) CHECK(!is_read(whole.substr(begin)));
  CHECK(!is_read(whole + "x"));
}

TEST(no_byte_out_of_place_is_passed_over) {
  const std::string whole = kHead + "x: y\r\n\r\n{ }";
  // In a name, at a name's end, in a value, at a line's end.
  for (const std::size_t place : {kHead.size(), kHead.size() + 1, kHead.size() + 3, kHead.size() + 4, kHead.size() + 5}) {
    for (const char odd : {'\0', '\n', '\r', '\x7f'}) {
      std::string bytes = whole;
      if (bytes[place] == odd) continue;
      bytes[place] = odd;
      CHECK(!is_read(bytes));
    }
  }
}

TEST(names_and_fields_have_room_up_to_a_bound) {
  const auto with = [](std::size_t letters) { return kHead + std::string(letters, 'n') + ": y\r\n\r\n{ }"; };
  const std::size_t room = laneway::Request::kMostLetters - std::string("hostcontent-length").size();
  CHECK(is_read(with(room)));
  CHECK(!is_read(with(room + 1)));
  std::string bytes = kHead;
  for (std::size_t count = 2; count < laneway::Request::kMostFields; ++count) bytes += "x: y\r\n";
  CHECK(is_read(bytes + "\r\n{ }"));
  CHECK(!is_read(bytes + "x: y\r\n\r\n{ }"));
}

TEST(what_says_more_of_the_end_or_the_connection_is_not_plain) {
  for (const char* field : {"transfer-encoding: chunked", "Expect: 100-continue", "upgrade: h2c", "Connection: close",
                            "connection: keep-alive, upgrade", "proxy-connection: keep-alive", "content-length: 3"})
    CHECK(!is_read(kHead + field + "\r\n\r\n{ }"));
  CHECK(is_read(kHead + "connection: Keep-Alive\r\n\r\n{ }"));
}

int main() { return check::run(); }
