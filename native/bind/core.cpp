// The door between the compiled core and Python: the only file that knows Python.
//
// It turns arrays and strings into spans and back and releases the interpreter lock around long work. It computes nothing.

#include <nanobind/nanobind.h>

namespace nb = nanobind;

NB_MODULE(_core, module) {
  module.attr("ABI") = 1;
}
