"""The rooms a request walks through, one class and one file each; every one can be mounted alone.

`XMiddleware(app, *, <port>=<in-memory default>, <knobs with defaults>)`. A room passes on what is not HTTP or not one
of our paths, treats absent facts as neutral, owns no resource, starts no task, and does nothing when an equal room
outside it has done its work already.
"""
