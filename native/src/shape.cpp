#include "laneway/shape.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <vector>

namespace laneway {
namespace {

constexpr std::string_view kCodeWords[] = {
    "FROM",    "JOIN",   "None",     "SELECT", "WHERE",   "assert",    "async",  "await", "bool",   "char",     "class",
    "const",   "def",    "double",   "elif",   "enum",    "float",     "fn",     "func",  "function", "impl",   "import",
    "include", "int",    "lambda",   "len",    "namespace", "null",    "print",  "printf", "println", "private", "public",
    "return",  "self",   "static",   "str",    "string",  "struct",    "this",   "throw", "typedef", "var",     "void",
};
constexpr std::string_view kAsking[] = {
    "analyze", "calculate", "compare",   "compute", "derive", "describe", "design", "determine", "discuss", "evaluate",
    "explain", "find",      "how",       "implement", "prove", "show",    "simplify", "solve",   "summarize", "translate",
    "what",    "which",     "why",       "write",
};

// Short words as numbers, six bits a letter, and the lists of them as a hash table of such numbers.
constexpr std::size_t kLongestListed = 10;
constexpr std::uint64_t kCaseBits = 0x0820820820820820;

constexpr std::uint64_t append_letter(std::uint64_t key, char32_t point) { return key << 6 | (point & 63); }

// The same word in lower case. Letters that are not there stay zero.
constexpr std::uint64_t lower_of(std::uint64_t key, std::size_t length) {
  return key | (kCaseBits & ((std::uint64_t{1} << 6 * length) - 1));
}

template <std::size_t Slots>
struct WordSet {
  std::array<std::uint64_t, Slots> slots{};

  static constexpr std::size_t slot_of(std::uint64_t key) { return static_cast<std::size_t>(key * 0x9E3779B97F4A7C15 >> 32) % Slots; }
  constexpr explicit WordSet(std::span<const std::string_view> words) {
    for (const std::string_view word : words) {
      std::uint64_t key = 0;
      for (const char byte : word) key = append_letter(key, static_cast<char32_t>(byte));
      std::size_t slot = slot_of(key);
      while (slots[slot]) slot = (slot + 1) % Slots;
      slots[slot] = key;
    }
  }
  constexpr bool has(std::uint64_t key) const {
    for (std::size_t slot = slot_of(key); slots[slot]; slot = (slot + 1) % Slots)
      if (slots[slot] == key) return true;
    return false;
  }
};

constexpr WordSet<256> kCodeSet(kCodeWords);
constexpr WordSet<128> kAskingSet(kAsking);

enum Text : std::size_t {
  characters_log, words_log, word_length_log, newlines_log, digits_share, capitals_share, foreign_share,
  punctuation_share, brackets_share, operators_share, questions_log, numbers_log, latex_log, options_log, fences_log,
  code_words_log, longest_line_log, blanks_log, asking_log,
};
static_assert(asking_log + 1 == kTextShape);

struct Scale {
  float mean, spread;
};

// Made once by native/table/scale_shape.py from public prompts, their texts only. Changing one changes the space.
constexpr Scale kScales[kShape] = {
#include "shape_scales.inc"
};

enum Mark : std::uint8_t { letter = 1, capital = 2, digit = 4, blank = 8, mark = 16, bracket = 32, operation = 64 };

constexpr std::array<std::uint8_t, 128> make_marks() {
  std::array<std::uint8_t, 128> marks{};
  for (std::size_t at = 0x21; at < 0x7F; ++at) marks[at] = mark;
  for (std::size_t at = '0'; at <= '9'; ++at) marks[at] = digit;
  for (std::size_t at = 'A'; at <= 'Z'; ++at) marks[at] = letter | capital, marks[at + 32] = letter;
  for (const char at : {' ', '\t', '\n', '\r', '\v', '\f'}) marks[static_cast<std::size_t>(at)] = blank;
  for (const char at : {'(', ')', '[', ']', '{', '}'}) marks[static_cast<std::size_t>(at)] |= bracket;
  for (const char at : {'+', '-', '*', '/', '=', '<', '>', '^', '%', '&', '|'}) marks[static_cast<std::size_t>(at)] |= operation;
  return marks;
}

constexpr std::array<std::uint8_t, 128> kMarks = make_marks();

std::uint8_t marks_of(char32_t point) { return point < 128 ? kMarks[point] : 0; }

// "A." or "(b)" or "C:" with nothing before it on its line and a space or an end after it.
bool begins_option(std::span<const char32_t> line) {
  std::size_t at = 0;
  while (at < line.size() && line[at] == ' ') ++at;
  if (at < line.size() && line[at] == '(') ++at;
  if (at >= line.size() || !(marks_of(line[at]) & letter)) return false;
  if (++at >= line.size() || (line[at] != '.' && line[at] != ')' && line[at] != ':')) return false;
  return ++at == line.size() || marks_of(line[at]) & blank;
}

struct Counts {
  std::size_t words = 0, solid = 0, newlines = 0, digits = 0, capitals = 0, foreign = 0, punctuation = 0, brackets = 0,
              operators = 0, questions = 0, numbers = 0, latex = 0, options = 0, fences = 0, code_words = 0,
              longest_line = 0, blanks = 0, asking = 0;
};

// What is looked at, and what each character is. One blank stands before the first, so that each has one before it.
struct Page {
  std::span<const char32_t> points;
  std::vector<std::uint8_t> marks;

  void open(std::span<const char32_t> text) {
    points = text;
    marks.resize(text.size() + 1);
    marks[0] = blank;
    for (std::size_t at = 0; at < text.size(); ++at) marks[at + 1] = marks_of(text[at]);
  }
  bool is(std::size_t at, Mark kind) const { return marks[at + 1] & kind; }
};

// Loops without branches, one per count: a compiler makes registers full of characters of them.
template <typename Test>
std::size_t count_where(std::size_t size, const Test& test) {
  std::uint32_t count = 0;
  for (std::size_t at = 0; at < size; ++at) count += test(at) ? 1u : 0u;
  return count;
}

void count_characters(const Page& page, Counts& counts) {
  const std::size_t size = page.points.size();
  const std::uint8_t* const marks = page.marks.data() + 1;
  const std::uint8_t* const earlier = page.marks.data();
  const char32_t* const points = page.points.data();
  counts.solid = count_where(size, [=](std::size_t at) { return (marks[at] & blank) == 0; });
  counts.words = count_where(size, [=](std::size_t at) { return (earlier[at] & ~marks[at] & blank) != 0; });
  counts.digits = count_where(size, [=](std::size_t at) { return (marks[at] & digit) != 0; });
  counts.numbers = count_where(size, [=](std::size_t at) { return (marks[at] & ~earlier[at] & digit) != 0; });
  counts.capitals = count_where(size, [=](std::size_t at) { return (marks[at] & capital) != 0; });
  counts.punctuation = count_where(size, [=](std::size_t at) { return (marks[at] & mark) != 0; });
  counts.brackets = count_where(size, [=](std::size_t at) { return (marks[at] & bracket) != 0; });
  counts.operators = count_where(size, [=](std::size_t at) { return (marks[at] & operation) != 0; });
  counts.foreign = count_where(size, [=](std::size_t at) { return points[at] >= 128; });
  counts.newlines = count_where(size, [=](std::size_t at) { return points[at] == '\n'; });
  counts.questions = count_where(size, [=](std::size_t at) { return points[at] == '?'; });
  counts.latex = count_where(size, [=](std::size_t at) { return points[at] == '$'; });
  if (size > 1)
    counts.latex += count_where(size - 1, [=](std::size_t at) { return points[at] == '\\' && (marks[at + 1] & letter) != 0; });
}

// Runs of one mark: code fences are three of one, blanks to fill in are two or more of the other.
void count_runs(std::span<const char32_t> points, Counts& counts) {
  for (std::size_t first = 0; first < points.size();) {
    std::size_t last = first + 1;
    if (points[first] == '`' || points[first] == '_')
      while (last < points.size() && points[last] == points[first]) ++last;
    counts.fences += points[first] == '`' && last - first >= 3;
    counts.blanks += points[first] == '_' && last - first >= 2;
    first = last;
  }
}

void count_lines(std::span<const char32_t> points, Counts& counts) {
  for (std::size_t first = 0; first < points.size();) {
    std::size_t last = first;
    while (last < points.size() && points[last] != '\n') ++last;
    counts.longest_line = std::max(counts.longest_line, last - first);
    counts.options += begins_option(points.subspan(first, last - first));
    first = last + 1;
  }
}

// Words of ASCII letters that are on one of the lists, programming words as they are spelled, asking words in any case.
void count_listed(const Page& page, Counts& counts) {
  const std::size_t size = page.points.size();
  for (std::size_t first = 0; first < size;) {
    std::uint64_t key = 0;
    std::size_t last = first;
    for (; last < size && page.is(last, letter); ++last) key = append_letter(key, page.points[last]);
    const std::size_t length = last - first;
    if (length >= 2 && length <= kLongestListed) {
      counts.code_words += kCodeSet.has(key);
      counts.asking += kAskingSet.has(lower_of(key, length));
    }
    first = last + 1;
  }
}

float log_of(std::uint64_t count) { return static_cast<float>(std::log1p(static_cast<double>(count))); }

}  // namespace

Shape measure(std::span<const char32_t> points, std::size_t characters, const Setting& setting) {
  thread_local Page page;
  page.open(points);
  Counts counts;
  count_characters(page, counts);
  count_runs(points, counts);
  count_lines(points, counts);
  count_listed(page, counts);
  const auto share = [&](std::size_t count) {
    return static_cast<float>(static_cast<double>(count) / static_cast<double>(std::max<std::size_t>(points.size(), 1)));
  };
  Shape shape{};
  shape[characters_log] = log_of(characters);
  shape[words_log] = log_of(counts.words);
  shape[word_length_log] = static_cast<float>(
      std::log1p(static_cast<double>(counts.solid) / static_cast<double>(std::max<std::size_t>(counts.words, 1))));
  shape[newlines_log] = log_of(counts.newlines);
  shape[digits_share] = share(counts.digits);
  shape[capitals_share] = share(counts.capitals);
  shape[foreign_share] = share(counts.foreign);
  shape[punctuation_share] = share(counts.punctuation);
  shape[brackets_share] = share(counts.brackets);
  shape[operators_share] = share(counts.operators);
  shape[questions_log] = log_of(counts.questions);
  shape[numbers_log] = log_of(counts.numbers);
  shape[latex_log] = log_of(counts.latex);
  shape[options_log] = log_of(counts.options);
  shape[fences_log] = log_of(counts.fences);
  shape[code_words_log] = log_of(counts.code_words);
  shape[longest_line_log] = log_of(counts.longest_line);
  shape[blanks_log] = log_of(counts.blanks);
  shape[asking_log] = log_of(counts.asking);
  float* const request = shape.data() + kTextShape;
  request[0] = log_of(setting.tools);
  request[1] = log_of(setting.earlier_turns);
  request[2] = log_of(setting.system_characters);
  request[3] = setting.structured ? 1.0f : 0.0f;
  request[4] = log_of(setting.max_tokens);
  return shape;
}

Shape standardise(const Shape& shape) {
  Shape out{};
  double square = 0;
  for (std::size_t at = 0; at < kShape; ++at) {
    const double z = (static_cast<double>(shape[at]) - kScales[at].mean) / kScales[at].spread;
    out[at] = static_cast<float>(std::clamp(z, -3.0, 3.0));
    square += static_cast<double>(out[at]) * out[at];
  }
  const double scale = square > 0 ? 1 / std::sqrt(square) : 0;
  for (float& value : out) value = static_cast<float>(value * scale);
  return out;
}

}  // namespace laneway
