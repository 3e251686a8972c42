"""The simulated provider: models in this process, for a first run with nothing at hand, for demos and for tests.

Any provider with a `simulated://` url is served here, in whichever dialect it is called: the dialect's own verbs for
callers read the request and write the answer. The name of a model says what it does; words combine, in any order:

    sim-small sim-medium sim-large   skills .55, .75, .93; cheap and fast to dear and slow (see `MODELS`)
    sim-embed                        vectors of 64 dimensions
    sim-echo                         says again what the last user turn said
    sim-tools                        calls the first tool offered; two at once if the prompt says "two" or "both"
    sim-json  sim-think              JSON unasked; thinking unasked
    sim-judge                        grades the answers it is shown, from 0 to 10
    sim-refuse                       answers that it will not, and finishes as refused
    -slow-50ms  -long-400            waits before each delta; has 400 deltas
    -fail-429  -fail-503-once        fails with that status, always or the first time; -fail-429-after-2: Retry-After
    -down  -reset                    no connection; a connection lost before the answer
    -hang-headers  -hang-first       never answers; never gets to the first content
    -cut-after-5  -stall-after-5     breaks off, or falls silent, after five deltas
    -error-in-stream                 says itself that it failed, after three deltas
    -html                            answers 200 with a web page
    -blocked  -context-too-long      the provider's policy, or the model's window, turns the request away

For instance `sim-large-slow-20ms` or `sim-echo-cut-after-3`. Everything is a function of the request and the name
(and, for `-once`, of how often it was asked). Nothing sleeps unless a name asks for it.
"""

from __future__ import annotations

from laneway.upstream.simulated.models import MODELS, Behaviour, Model, behaviour, skill
from laneway.upstream.simulated.provider import Simulated
from laneway.upstream.simulated.questions import difficulty

__all__ = ["MODELS", "Behaviour", "Model", "Simulated", "behaviour", "difficulty", "skill"]
