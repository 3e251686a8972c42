"""The state ports over one SQLite file: one thread writes, the loop looks up, other threads read at length."""
