"""Everything that thinks: pure functions of values, with `now` and `rng` as arguments, no I/O, no ASGI."""
