// A prompt as one vector: what it says, beside what kind of text it is.
//
// Owns how the parts are put together: unit([unit(content), half of unit(shape)]). The content comes from a token table
// or from hashing. A task's tag is no part of the vector; Rows adds it when it compares, so tags may come and go.
#pragma once

#include <span>

#include "laneway/shape.hpp"
#include "laneway/table.hpp"
#include "laneway/text.hpp"

namespace laneway {

// `out` has table.dims() + kShape places.
void embed(const Table& table, const Passage& passage, const Setting& setting, std::span<float> out);

// `out` has more than kShape places; all but the last kShape are hashed to.
void embed_hashed(const Passage& passage, const Setting& setting, std::span<float> out);

}  // namespace laneway
