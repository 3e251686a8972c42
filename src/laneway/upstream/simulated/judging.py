"""What the simulated judge says: it knows the answers to the questions that have evident ones.

Owns: finding prompt and answers between their marks, and a grade for each. Refuses: opinions on open questions beyond
telling a guess from knowledge, which the other simulated models make easy.
"""

from __future__ import annotations

import re

from laneway.upstream.simulated.questions import guesses, question

_PART = re.compile(r"<(prompt|answer|first|second)-([0-9a-f]{8})>\n(.*?)\n</\1-\2>", re.DOTALL)
RIGHT, KNOWING, GUESSING, WRONG = 10, 9, 3, 0


def judge_text(asked: str) -> str:
    """The grades of all answers in the order in which they stand, or words where there is nothing to grade."""
    parts = [(name, text) for name, _, text in _PART.findall(asked)]
    prompt = next((text for name, text in parts if name == "prompt"), None)
    answers = [text for name, text in parts if name != "prompt"]
    if prompt is None or not answers:
        return "There is nothing to grade."
    return " ".join(str(grade(prompt, answer)) for answer in answers)


def grade(prompt: str, answer: str) -> int:
    """From 0 to 10."""
    known = question(prompt)
    if known is not None:
        return RIGHT if known.right.rstrip(".") in answer else WRONG
    if len(answer.split()) < 4:
        return WRONG
    return GUESSING if guesses(answer) else KNOWING
