"""Keeping keys out of foreign words, and foreign words short.

Owns: what looks like a key, a token, a signature or an account, in whichever provider's spelling; every text of a
provider that is shown or recorded goes through here.
Refuses: to decide who may see the words: that is `fault`, and to promise that a secret of no known shape is found.
"""

from __future__ import annotations

import re

SHOWN_CHARS = 400
"""How much of a provider's explanation a caller is shown."""

KEPT_CHARS = 2000
"""How much of a provider's words the record keeps."""

# Looked at no further, so that a page of megabytes costs nothing; more than is ever kept.
_READ_CHARS = 4000

# A secret begins where a word does. Saying so first spares a long text the trial of every shape at every letter.
_SECRET = re.compile(
    r"""
    (?<! [A-Za-z0-9] ) (?= [\w+/:%] ) (?:
    # said to be one: `api_key=...`, `"token": "..."`, `Authorization: Bearer ...`
      (?i: (?: api[-_ ]?key | access[-_ ]?key (?: [-_ ]?id )? | secret (?: [-_ ]?(?: access[-_ ]? )?key )? | token
             | passw(?:or)?d | credential | signature | authorization )
           ["']? \s* [:=] \s* ["']? (?: (?: bearer | basic ) \s+ )? \S+ )
    | (?i: key \s provided: ) \s* \S+
    | (?i: bearer ) \s* \S+
    | (?i: basic ) \s+ (?= \S* (?: [\d=+/] | [a-z][A-Z] ) ) [\w+/=-]{6,}
    # begun like one: OpenAI and its likes, whole or with stars; AWS; Google; a signed web token
    | sk [-_] [\w*.-]{4,}
    | (?: pk | rk | gsk | csk | xai | hf | r8 | fw | lw | key | tok | nvapi | pplx | tgp | ghp | glpat | xox[a-z] )
      [-_] [\w*.-]{6,}
    | (?: AKIA | ASIA | ABSK ) [\w*.+/=]{4,}
    | AIza [\w*-]{8,}
    | ya29\. [\w.-]+
    | eyJ [\w-]{6,200} \. [\w.-]+
    # an account's name at AWS, and a name with a password in a url
    | arn:aws [\w-]* : [^\s,;]+
    | (?<= :// ) [^\s/@:]* : [^\s/@]+ (?= @ )
    # long and mixed; AWS's secret keys are forty characters of base64
    | \b (?= \w*\d ) (?= \w*[A-Za-z] ) \w{32,} \b
    | (?<! [\w+/] ) (?= [\w+/]*\d ) (?= [\w+/]*[a-z] ) (?= [\w+/]*[A-Z] ) [A-Za-z0-9+/]{40} (?! [\w+/=] )
    )
    """,
    re.VERBOSE,
)


def redact(text: str, limit_chars: int = SHOWN_CHARS) -> str:
    """Without anything that looks like a key, on one line, of bounded length."""
    clean = " ".join(_SECRET.sub("[removed]", text[:_READ_CHARS]).split())
    return clean if len(clean) <= limit_chars else clean[:limit_chars] + "..."


def read_words(body: bytes) -> str:
    """What a body says that is no JSON: a plain line may help whoever reads the record; a proxy's page helps nobody."""
    text = body[:_READ_CHARS].decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else text
