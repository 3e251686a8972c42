"""What a call that must not succeed fails with.

Owns: asserting that it failed, and taking the failure out of its exception. Refuses: to say which failure is right,
which is what the tests are about.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from laneway.failure import Failure, FailureError


def failure_of(call: Callable[..., object], *arguments: object) -> Failure:
    with pytest.raises(FailureError) as caught:
        call(*arguments)
    return caught.value.failure
