"""Telling what happens to requests while it happens: events, spans, and the stream of who asked for both.

Owns: the hub, what other processes tell, and who follows a request. Refuses: records, which `record` makes of what is
over, and slowing a request down for whoever watches.
"""
