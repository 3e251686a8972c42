#include "found.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "laneway/rows.hpp"
#include "laneway/shown.hpp"
#include "laneway/stand.hpp"
#include "laneway/vote.hpp"

using namespace nb::literals;

namespace {

using laneway::Ballot;
using laneway::Neighbours;
using LineView = nb::ndarray<nb::numpy, const float, nb::ndim<1>>;
using SheetView = nb::ndarray<nb::numpy, const float, nb::ndim<2>>;
using IdsView = nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<1>>;

// A view of what a live Python object holds: the view keeps the object alive.
template <typename Out, typename Owner, typename T>
Out view(const Owner& owner, const std::vector<T>& values, std::initializer_list<std::size_t> sizes) {
  return Out(values.data(), sizes, nb::find(owner));
}

laneway::Ballot vote_of(const laneway::Neighbours& neighbours, const std::vector<std::uint32_t>& candidates,
                        const std::vector<double>& means) {
  return laneway::vote(neighbours.similarities, neighbours.labels, neighbours.columns, candidates, means);
}

// What a receipt shows, with the names of its columns. Items are made when somebody reads them: most receipts nobody does.
struct Shown {
  laneway::Shown rows;
  nb::list names;
};

Shown show(laneway::Shown rows, nb::list names) {
  if (names.size() != rows.columns()) throw nb::value_error("names: expected one for each column");
  return {std::move(rows), std::move(names)};
}

Shown unpack(const nb::bytes& packed, const nb::list& names) {
  const std::span bytes(reinterpret_cast<const std::uint8_t*>(packed.c_str()), packed.size());
  return show(laneway::Shown(bytes, names.size()), names);
}

nb::tuple shown_at(const Shown& shown, std::size_t row) {
  nb::dict scores;
  for (std::size_t at = 0; at < shown.rows.columns(); ++at) {
    const float score = shown.rows.label(row, at);
    if (score == score) scores[shown.names[at]] = static_cast<double>(score);
  }
  return nb::make_tuple(shown.rows.id(row), static_cast<double>(shown.rows.similarity(row)), std::move(scores));
}

nb::tuple shown_whole(const Shown& shown) {
  nb::list out;
  for (std::size_t row = 0; row < shown.rows.size(); ++row) out.append(shown_at(shown, row));
  return nb::tuple(out);
}

std::string shown_ids(const Shown& shown) {
  std::string out = ",";
  for (std::size_t row = 0; row < shown.rows.size(); ++row) out += std::to_string(shown.rows.id(row)) + ',';
  return out;
}

double likeness(const laneway::Neighbours& neighbours, std::size_t count) {
  const std::size_t seen = std::min(count, neighbours.similarities.size());
  double sum = 0;
  for (std::size_t at = 0; at < seen; ++at) sum += static_cast<double>(neighbours.similarities[at]);
  return seen ? sum / static_cast<double>(seen) : 0;
}

std::vector<std::vector<double>> covariance_of(const laneway::Ballot& ballot) {
  const auto count = static_cast<std::ptrdiff_t>(ballot.quality.size());
  std::vector<std::vector<double>> out;
  for (auto row = ballot.covariance.begin(); row != ballot.covariance.end(); row += count) out.emplace_back(row, row + count);
  return out;
}

// One call for all that follows a vote: as calls and lists of their own, the steps cost more than what they compute.
nb::tuple stand(const Ballot& ballot, const nb::list& names, const std::vector<double>& lines, const nb::list& costs,
                std::pair<double, double> units, const std::vector<double>& penalties, std::pair<double, double> terms) {
  const auto [unit, unpriced] = units;
  const std::size_t count = names.size();
  if (lines.size() != count || costs.size() != count || penalties.size() != count)
    throw nb::value_error("names, lines, costs, penalties: expected as many of each");
  std::vector<laneway::Seat> seats(count);
  for (std::size_t at = 0; at < count; ++at) {
    const nb::object cost = costs[at];
    seats[at] = {lines[at], cost.is_none() ? unpriced : nb::cast<double>(cost) / unit, penalties[at]};
  }
  const laneway::Order order = laneway::stand(ballot, seats, {terms.first, terms.second}, [&](std::size_t one, std::size_t other) {
    return PyUnicode_Compare(nb::object(names[one]).ptr(), nb::object(names[other]).ptr()) < 0;
  });
  nb::list placed;
  for (const laneway::Placed& each : order.placed)
    placed.append(nb::make_tuple(names[each.at], each.quality, each.error, each.effective, costs[each.at], seats[each.at].cost,
                                 seats[each.at].penalty, each.score));
  std::optional<double> cheaper, dearer;
  if (std::isfinite(order.cheaper_from)) cheaper = order.cheaper_from;
  if (order.dearer_until > 0) dearer = order.dearer_until;
  return nb::make_tuple(placed, order.confidence, cheaper, dearer);
}

}  // namespace

void bind_found(nb::module_& module) {
  nb::class_<Ballot>(module, "Ballot")
      .def_ro("quality", &Ballot::quality)
      .def_ro("error", &Ballot::error)
      .def_ro("effective", &Ballot::effective)
      .def_prop_ro("covariance", &covariance_of)
      .def("stand", &stand, "names"_a, "lines"_a, "costs"_a, "units"_a, "penalties"_a, "terms"_a);

  nb::class_<Neighbours>(module, "Neighbours")
      .def("__len__", [](const Neighbours& self) { return self.ids.size(); })
      .def_prop_ro("ids", [](const Neighbours& self) { return view<IdsView>(self, self.ids, {self.ids.size()}); })
      .def_prop_ro("similarities",
                   [](const Neighbours& self) { return view<LineView>(self, self.similarities, {self.ids.size()}); })
      .def_prop_ro("labels",
                   [](const Neighbours& self) { return view<SheetView>(self, self.labels, {self.ids.size(), self.columns}); })
      .def("likeness", &likeness, "count"_a)
      .def(
          "shown",
          [](const Neighbours& self, std::size_t count, nb::list names, const std::vector<std::uint32_t>& columns) {
            return show(laneway::Shown(self, count, columns), std::move(names));
          },
          "count"_a, "names"_a, "columns"_a)
      .def("vote", &vote_of, "candidates"_a, "means"_a);

  nb::class_<Shown>(module, "Shown")
      .def(
          "__init__",
          [](Shown* self, const nb::bytes& packed, nb::list names) {
            new (self) Shown(unpack(packed, names));
          },
          "packed"_a, "names"_a)
      .def("__len__", [](const Shown& self) { return self.rows.size(); })
      .def("__getitem__",
           [](const Shown& self, std::size_t at) {
             if (at >= self.rows.size()) throw nb::index_error();
             return shown_at(self, at);
           })
      .def("__iter__", [](const Shown& self) { return nb::iter(shown_whole(self)); })
      .def("__eq__", [](const Shown& self, nb::handle other) { return shown_whole(self).equal(nb::tuple(other)); })
      .def_prop_ro("ids", &shown_ids)
      .def_prop_ro("names", [](const Shown& self) { return self.names; })
      .def_prop_ro("packed", [](const Shown& self) { return nb::bytes(self.rows.packed().data(), self.rows.packed().size()); });
}
