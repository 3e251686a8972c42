"""The compiled core (native/), as Python sees it."""

ABI: int
