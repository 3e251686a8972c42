"""Races between forwarders: an upstream, a load, contestants, and one command that runs them in turn."""
