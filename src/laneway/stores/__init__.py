"""Adapters of the state ports: memory for middlewares alone and tests, SQLite for a gateway."""
