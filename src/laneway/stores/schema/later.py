"""The steps after the first ones, in the order in which they were made.

Owns: the tables that came later. Refuses: to be edited once released: a new step follows at the end.
"""

from __future__ import annotations

from laneway.stores.schema.registry import Steps

step = Steps()
