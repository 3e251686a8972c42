#include <string>

#include "check.hpp"
#include "laneway/message.hpp"

namespace {

const std::string kHead = "POST /v1/messages?a=%20b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n";

const std::string kAnswer = "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 3\r\n\r\n{ }";

bool is_answer(const std::string& bytes) {
  laneway::Message read;
  return laneway::read_answer(bytes, read);
}

bool is_read(const std::string& bytes) {
  laneway::Message read;
  return laneway::read_request(bytes, read);
}

}  // namespace

TEST(the_parts_of_a_plain_request_are_found) {
  const std::string bytes = kHead + "X-A: b c\r\n\r\n{ }";
  laneway::Message read;
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
  const std::size_t room = laneway::Message::kMostLetters - std::string("hostcontent-length").size();
  CHECK(is_read(with(room)));
  CHECK(!is_read(with(room + 1)));
  std::string bytes = kHead;
  for (std::size_t count = 2; count < laneway::Message::kMostFields; ++count) bytes += "x: y\r\n";
  CHECK(is_read(bytes + "\r\n{ }"));
  CHECK(!is_read(bytes + "x: y\r\n\r\n{ }"));
}

TEST(what_says_more_of_the_end_or_the_connection_is_not_plain) {
  for (const char* field : {"transfer-encoding: chunked", "Expect: 100-continue", "upgrade: h2c", "Connection: close",
                            "connection: keep-alive, upgrade", "proxy-connection: keep-alive", "content-length: 3"})
    CHECK(!is_read(kHead + field + "\r\n\r\n{ }"));
  CHECK(is_read(kHead + "connection: Keep-Alive\r\n\r\n{ }"));
}

TEST(the_parts_of_a_plain_answer_are_found) {
  laneway::Message read;
  CHECK(laneway::read_answer(kAnswer, read));
  CHECK(read.status == 200);
  CHECK(read.body == "{ }");
  CHECK(read.fields().size() == 2);
  CHECK(read.fields()[1].name == "content-length" && read.fields()[1].value == "3");
}

TEST(every_part_of_an_answer_alone_is_none) {
  for (std::size_t end = 0; end < kAnswer.size(); ++end) CHECK(!is_answer(kAnswer.substr(0, end)));
  for (std::size_t begin = 1; begin < kAnswer.size(); ++begin) CHECK(!is_answer(kAnswer.substr(begin)));
  CHECK(!is_answer(kAnswer + "x"));
}

TEST(only_final_answers_with_a_body_are_plain) {
  const auto with = [](const char* status) { return is_answer("HTTP/1.1 " + std::string(status) + kAnswer.substr(15)); };
  for (const char* status : {"200 OK", "201 ", "404 Not Found", "429 Slow down", "500 \xc3\xa9", "599 x"}) CHECK(with(status));
  for (const char* status : {"100 Continue", "199 x", "204 No Content", "304 Not Modified", "600 x", "20 OK", "2000 OK", "200", "2x0 OK",
                             "200\tOK", "200 O\nK"})
    CHECK(!with(status));
}

int main() { return check::run(); }
