"""Proof: what the router gains on labelled prompts, beside other ways to choose."""
