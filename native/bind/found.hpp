// What a search found and what was voted on it, as Python has them.
#pragma once

#include <nanobind/nanobind.h>

namespace nb = nanobind;

void bind_found(nb::module_& module);
