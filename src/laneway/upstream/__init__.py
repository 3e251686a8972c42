"""Everything that speaks to providers: the engine, stock httpx beside it, signing, and the simulated provider."""
