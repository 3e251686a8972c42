// The whole test harness: a test is a function with a name, a check that fails says where and goes on to the next test.
#pragma once

#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace check {

struct Test {
  const char* name;
  std::function<void()> run;
};

inline std::vector<Test>& tests() {
  static std::vector<Test> all;
  return all;
}

struct Register {
  Register(const char* name, std::function<void()> run) { tests().push_back({name, std::move(run)}); }
};

inline void that(bool holds, const char* what, std::source_location at = std::source_location::current()) {
  if (!holds) throw std::runtime_error("line " + std::to_string(at.line()) + ": " + what);
}

inline void near(double one, double other, double tolerance, std::source_location at = std::source_location::current()) {
  const std::string what = std::to_string(one) + " is not " + std::to_string(other);
  that(std::abs(one - other) <= tolerance, what.c_str(), at);
}

// The work must be refused with a message that holds `part`.
template <typename Work>
void refused(const Work& work, const std::string& part, std::source_location at = std::source_location::current()) {
  try {
    work();
  } catch (const std::invalid_argument& error) {
    return that(std::string(error.what()).find(part) != std::string::npos, error.what(), at);
  }
  that(false, "nothing was refused", at);
}

inline int run() {
  int failed = 0;
  for (const Test& test : tests()) {
    try {
      test.run();
    } catch (const std::exception& error) {
      std::printf("FAILED %s: %s\n", test.name, error.what());
      ++failed;
    }
  }
  std::printf("%zu tests, %d failed\n", tests().size(), failed);
  return failed != 0;
}

}  // namespace check

#define TEST(name)                                          \
  static void name();                                       \
  static const check::Register register_##name(#name, name); \
  static void name()

#define CHECK(...) check::that((__VA_ARGS__), #__VA_ARGS__)
