"""Shelves: each tenant's examples in memory, searchable by what prompts mean.

Owns: the searchable caches of rows, when they are built, kept, followed up and let go of, and everything FAISS.
Refuses: to be the truth (rows are: a shelf can be lost at any time), choosing a model, and loading FAISS unless it is
what searches.
"""

from laneway.vectors.form import Form as Form
from laneway.vectors.settled import settle as settle
from laneway.vectors.shelf import TenantShelf as TenantShelf
from laneway.vectors.shelves import LocalShelves as LocalShelves
from laneway.vectors.spaces import FarSpace as FarSpace
from laneway.vectors.spaces import NearSpace as NearSpace
