// The door between the compiled core and Python: this file and those beside it are the only ones that know Python.
//
// It turns strings and arrays into spans and back, and lets other threads run during long work. It computes nothing; what
// types and dimensions an argument must have stands in the signatures below.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

#include "found.hpp"
#include "laneway/embed.hpp"
#include "laneway/message.hpp"
#include "laneway/ridge.hpp"
#include "laneway/rows.hpp"
#include "laneway/vote.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

template <typename T>
using Line = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Sheet = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using LineOut = nb::ndarray<nb::numpy, float, nb::ndim<1>>;

// Below this many bytes a scan is over sooner than another thread could take the lock and give it back.
constexpr std::size_t kLongScan = std::size_t{8} << 20;
constexpr std::size_t kLongInsert = 256;

template <typename Array>
auto span_of(const Array& array) {
  return std::span(array.data(), array.size());
}

template <typename T>
std::span<const T> span_of(const std::optional<Line<T>>& array) {
  return array ? std::span<const T>(array->data(), array->size()) : std::span<const T>();
}

// Hands the memory over to the array: it is freed with it.
template <typename Out, typename T>
Out hand_over(std::unique_ptr<T[]> memory, std::initializer_list<std::size_t> sizes) {
  T* const data = memory.release();
  const nb::capsule owner(data, [](void* at) noexcept { delete[] static_cast<T*>(at); });
  return Out(data, sizes, owner);
}

// A prompt's two ends as UTF-8, however long it is. Lone surrogates, which UTF-8 has not, become question marks.
class Text {
 public:
  explicit Text(nb::str text) {
    const Py_ssize_t length = PyUnicode_GetLength(text.ptr());
    constexpr auto kHalf = static_cast<Py_ssize_t>(laneway::kSide);
    passage_.characters = static_cast<std::size_t>(length);
    if (length <= 2 * kHalf) {
      passage_.head = view(head_ = std::move(text));
      return;
    }
    passage_.head = view(head_ = nb::steal(PyUnicode_Substring(text.ptr(), 0, kHalf)));
    passage_.tail = view(tail_ = nb::steal(PyUnicode_Substring(text.ptr(), length - kHalf, length)));
  }

  const laneway::Passage& passage() const { return passage_; }

 private:
  static std::string_view view(nb::object& text) {
    if (!text.is_valid()) throw nb::python_error();
    Py_ssize_t size = 0;
    if (const char* data = PyUnicode_AsUTF8AndSize(text.ptr(), &size)) return {data, static_cast<std::size_t>(size)};
    PyErr_Clear();
    text = nb::steal(PyUnicode_AsEncodedString(text.ptr(), "utf-8", "replace"));
    if (!text.is_valid()) throw nb::python_error();
    char* data = nullptr;
    if (PyBytes_AsStringAndSize(text.ptr(), &data, &size) != 0) throw nb::python_error();
    return {data, static_cast<std::size_t>(size)};
  }

  nb::object head_, tail_;
  laneway::Passage passage_;
};

laneway::Setting setting_of(std::uint64_t tools, std::uint64_t earlier_turns, std::uint64_t system_characters, bool structured,
                            std::uint64_t max_tokens) {
  return {tools, earlier_turns, system_characters, structured, max_tokens};
}

std::span<const std::uint8_t> span_of(const nb::bytes& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.c_str()), bytes.size()};
}

LineOut embed(const laneway::Table& table, nb::str text, std::uint64_t tools, std::uint64_t earlier_turns,
              std::uint64_t system_characters, bool structured, std::uint64_t max_tokens) {
  const std::size_t dims = table.dims() + laneway::kShape;
  auto memory = std::make_unique<float[]>(dims);
  const Text held(std::move(text));
  laneway::embed(table, held.passage(), setting_of(tools, earlier_turns, system_characters, structured, max_tokens),
                 {memory.get(), dims});
  return hand_over<LineOut>(std::move(memory), {dims});
}

LineOut embed_hashed(nb::str text, std::size_t places, std::uint64_t tools, std::uint64_t earlier_turns,
                     std::uint64_t system_characters, bool structured, std::uint64_t max_tokens) {
  if (places == 0) throw nb::value_error("places must be above 0");
  const std::size_t dims = places + laneway::kShape;
  auto memory = std::make_unique<float[]>(dims);
  const Text held(std::move(text));
  laneway::embed_hashed(held.passage(), setting_of(tools, earlier_turns, system_characters, structured, max_tokens),
                        {memory.get(), dims});
  return hand_over<LineOut>(std::move(memory), {dims});
}

std::vector<float> shape(nb::str text, std::uint64_t tools, std::uint64_t earlier_turns, std::uint64_t system_characters,
                         bool structured, std::uint64_t max_tokens) {
  const Text held(std::move(text));
  std::vector<char32_t> points;
  laneway::decode(held.passage(), points);
  const laneway::Shape measured =
      laneway::measure(points, held.passage().characters,
                       setting_of(tools, earlier_turns, system_characters, structured, max_tokens));
  return {measured.begin(), measured.end()};
}

std::vector<nb::str> tokens(const laneway::Table& table, nb::str text) {
  const Text held(std::move(text));
  std::vector<char32_t> points;
  laneway::decode(held.passage(), points);
  laneway::Words words;
  words.split(points);
  std::vector<std::uint32_t> ids;
  table.tokenise(words, ids);
  std::vector<nb::str> out;
  for (const std::uint32_t id : ids) out.emplace_back(table.token(id).data(), table.token(id).size());
  return out;
}

// What the signature cannot say: lengths that depend on another argument.
template <typename Array>
void expect_shape(const Array& array, const char* name, std::initializer_list<std::size_t> sizes) {
  const auto written = [](auto first, auto last) {
    std::string out;
    for (; first != last; ++first) out += (out.empty() ? "(" : ", ") + std::to_string(*first);
    return out + ")";
  };
  const std::int64_t* const shape = array.shape_ptr();
  if (std::equal(sizes.begin(), sizes.end(), shape, [](std::size_t size, std::int64_t have) { return std::cmp_equal(size, have); }))
    return;
  const std::string message = std::string(name) + ": expected shape " + written(sizes.begin(), sizes.end()) + ", got " +
                              written(shape, shape + sizes.size());
  throw nb::value_error(message.c_str());
}

void insert(laneway::Rows& rows, const Line<std::int64_t>& ids, const Sheet<float>& vectors,
            const std::optional<Line<std::uint16_t>>& tags, const std::optional<Sheet<float>>& labels) {
  const std::size_t count = ids.size();
  expect_shape(vectors, "vectors", {count, rows.dims()});
  if (tags) expect_shape(*tags, "tags", {count});
  if (labels) expect_shape(*labels, "labels", {count, rows.columns()});
  laneway::Batch batch{span_of(ids), span_of(vectors), span_of(tags), {}};
  if (labels) batch.labels = span_of(*labels);
  std::optional<nb::gil_scoped_release> others;
  if (count >= kLongInsert) others.emplace();
  rows.insert(batch);
}

laneway::Neighbours search(const laneway::Rows& rows, const Line<float>& query, std::size_t count, std::uint16_t tag) {
  laneway::Neighbours found;
  std::optional<nb::gil_scoped_release> others;
  if (rows.size() * rows.dims() >= kLongScan) others.emplace();
  rows.search(span_of(query), tag, count, found);
  return found;
}

// Hands a vector over to an array, which frees it.
template <typename T, typename Size>
auto give(std::vector<T>&& values, std::initializer_list<Size> sizes) {
  auto kept = std::make_unique<std::vector<T>>(std::move(values));
  T* const data = kept->data();
  const nb::capsule owner(kept.release(), [](void* at) noexcept { delete static_cast<std::vector<T>*>(at); });
  return nb::ndarray<nb::numpy, T>(data, sizes, owner);
}

nb::tuple everything(const laneway::Rows& rows) {
  laneway::Everything out;
  {
    const nb::gil_scoped_release others;
    out = rows.everything();
  }
  const std::size_t count = out.ids.size();
  return nb::make_tuple(give(std::move(out.ids), {count}), give(std::move(out.vectors), {count, rows.dims()}),
                        give(std::move(out.tags), {count}), give(std::move(out.labels), {count, out.columns}));
}

nb::bytes save(const laneway::Rows& rows) {
  std::vector<std::uint8_t> out;
  {
    const nb::gil_scoped_release others;
    out = rows.save();
  }
  nb::bytes copy = nb::steal<nb::bytes>(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(out.size())));
  if (!copy.is_valid()) throw nb::python_error();
  auto* const to = reinterpret_cast<std::uint8_t*>(PyBytes_AsString(copy.ptr()));
  {
    // Nobody else has it yet, so that even copying need not keep other threads waiting.
    const nb::gil_scoped_release others;
    std::copy(out.begin(), out.end(), to);
  }
  return copy;
}

// Bytes, or a file that is mapped: what is large need not be copied on its way.
void load(laneway::Rows& rows, const Line<std::uint8_t>& bytes) {
  const std::span<const std::uint8_t> span = span_of(bytes);
  const nb::gil_scoped_release others;
  rows.load(span);
}

laneway::Ballot vote(const Line<float>& similarities, const Sheet<float>& labels, const std::vector<double>& means) {
  expect_shape(labels, "labels", {similarities.size(), means.size()});
  std::vector<std::uint32_t> candidates(means.size());
  std::iota(candidates.begin(), candidates.end(), 0u);
  return laneway::vote(span_of(similarities), span_of(labels), means.size(), candidates, means);
}

laneway::Ridge ridge_of(const Sheet<float>& coefficients, const Sheet<float>& of_tags, const Line<float>& intercepts, double tagged) {
  expect_shape(coefficients, "coefficients", {intercepts.size(), coefficients.shape(1)});
  expect_shape(of_tags, "of_tags", {of_tags.shape(0), intercepts.size()});
  return {span_of(coefficients), span_of(of_tags), span_of(intercepts), tagged};
}

std::vector<double> expect(const laneway::Ridge& ridge, const Line<float>& vector, std::size_t tag) {
  std::vector<double> out(ridge.models());
  ridge.expect(span_of(vector), tag, out);
  return out;
}

std::vector<std::string> list_kernels() {
  std::vector<std::string> out;
  for (const laneway::NamedKernel* kernel = laneway::kernels(); kernel->name; ++kernel) out.emplace_back(kernel->name);
  return out;
}

nb::bytes bytes_of(std::string_view text) { return nb::bytes(text.data(), text.size()); }

// A list of pairs, as a full parser's owner would have gathered it.
nb::list headers_of(const laneway::Message& message) {
  nb::list headers;
  for (const laneway::Field& field : message.fields()) headers.append(nb::make_tuple(bytes_of(field.name), bytes_of(field.value)));
  return headers;
}

nb::object read_request(const nb::bytes& data) {
  laneway::Message read;
  if (!laneway::read_request({data.c_str(), data.size()}, read)) return nb::none();
  return nb::make_tuple(bytes_of(read.target), headers_of(read), bytes_of(read.body));
}

nb::object read_target(const nb::bytes& data, const nb::bytes& without) {
  laneway::Message read;
  if (!laneway::read_request({data.c_str(), data.size()}, read)) return nb::none();
  const std::string_view unwanted{without.c_str(), without.size()};
  const auto is_unwanted = [&](const laneway::Field& field) { return field.name == unwanted; };
  if (std::ranges::any_of(read.fields(), is_unwanted)) return nb::none();
  return bytes_of(read.target);
}

nb::object read_answer(const nb::bytes& data) {
  laneway::Message read;
  if (!laneway::read_answer({data.c_str(), data.size()}, read)) return nb::none();
  return nb::make_tuple(read.status, headers_of(read), bytes_of(read.body));
}

}  // namespace

NB_MODULE(_core, module) {
  // The interpreter reports instances that live at exit as leaks; a module's own long-lived table is none.
  nb::set_leak_warnings(false);
  module.attr("SHAPE_DIMS") = laneway::kShape;
  module.def("kernels", &list_kernels);
  module.def("embed_hashed", &embed_hashed, "text"_a, "places"_a, "tools"_a = 0, "earlier_turns"_a = 0,
             "system_characters"_a = 0, "structured"_a = false, "max_tokens"_a = 0);
  module.def("shape", &shape, "text"_a, "tools"_a = 0, "earlier_turns"_a = 0, "system_characters"_a = 0,
             "structured"_a = false, "max_tokens"_a = 0);
  module.def("read_request", &read_request, "data"_a);
  module.def("read_target", &read_target, "data"_a, "without"_a);
  module.def("read_answer", &read_answer, "data"_a);
  module.def("vote", &vote, "similarities"_a, "labels"_a, "means"_a);

  nb::class_<laneway::Table>(module, "Table")
      .def(
          "__init__", [](laneway::Table* self, const nb::bytes& data) { new (self) laneway::Table(span_of(data)); }, "data"_a)
      .def_prop_ro("dims", &laneway::Table::dims)
      .def("__len__", &laneway::Table::size)
      .def("tokens", &tokens, "text"_a)
      .def("embed", &embed, "text"_a, "tools"_a = 0, "earlier_turns"_a = 0, "system_characters"_a = 0, "structured"_a = false,
           "max_tokens"_a = 0);

  bind_found(module);

  nb::class_<laneway::Ridge>(module, "Ridge")
      .def(
          "__init__",
          [](laneway::Ridge* self, const Sheet<float>& coefficients, const Sheet<float>& of_tags, const Line<float>& intercepts,
             double tagged) { new (self) laneway::Ridge(ridge_of(coefficients, of_tags, intercepts, tagged)); },
          "coefficients"_a, "of_tags"_a, "intercepts"_a, "tagged"_a)
      .def("expect", &expect, "vector"_a, "tag"_a = 0);

  nb::class_<laneway::Rows>(module, "Rows")
      .def(
          "__init__",
          [](laneway::Rows* self, std::size_t dims, std::size_t columns, float tag_pull, const std::optional<std::string>& kernel) {
            new (self) laneway::Rows(dims, columns, tag_pull, kernel ? kernel->c_str() : nullptr);
          },
          "dims"_a, "columns"_a = 0, "tag_pull"_a = 0.2f, "kernel"_a = nb::none())
      .def_prop_ro("dims", &laneway::Rows::dims)
      .def_prop_ro("columns", &laneway::Rows::columns)
      .def_prop_ro("tag_pull", &laneway::Rows::tag_pull)
      .def_prop_ro("kernel", &laneway::Rows::kernel)
      .def_prop_ro("held_bytes", &laneway::Rows::bytes)
      .def("__len__", &laneway::Rows::size)
      .def("__contains__", &laneway::Rows::contains, "id"_a)
      .def("insert", &insert, "ids"_a, "vectors"_a, "tags"_a = nb::none(), "labels"_a = nb::none())
      .def(
          "delete", [](laneway::Rows& rows, const Line<std::int64_t>& ids) { return rows.erase(span_of(ids)); }, "ids"_a)
      .def("widen", &laneway::Rows::widen, "columns"_a)
      .def("reserve", &laneway::Rows::reserve, "rows"_a)
      .def("search", &search, "query"_a, "count"_a, "tag"_a = 0)
      .def("totals",
           [](const laneway::Rows& rows) {
             laneway::Totals totals = rows.totals();
             return std::pair(std::move(totals.sums), std::move(totals.counts));
           })
      .def("tags", &laneway::Rows::tags)
      .def("everything", &everything)
      .def("save", &save)
      .def("load", &load, "data"_a);
}
