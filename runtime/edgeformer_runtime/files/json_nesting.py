"""How deep JSON text nests, found without recursion and before anything parses it.

Python's own parser recurses. Up to Python 3.8 a text that is nested too deeply can end the whole process ("Cannot
recover from stack overflow") where later releases raise RecursionError, so an except clause is no protection.
"""

from __future__ import annotations

import re

MAX_DEPTH = 64

_NO_BRACKET = re.compile(r'"[^"]*"|[^][{}"]+')


def nests_deeper(text: str, max_depth: int = MAX_DEPTH) -> bool:
    """True where arrays and objects of ``text`` lie more than ``max_depth`` levels inside each other.

    Of text that isn't JSON, True or False: False only where a parser doesn't get deeper than that before it stops.
    """
    if text.count("[") + text.count("{") <= max_depth:
        return False
    # Escaped backslashes first: then what is left before a quote is its own.
    plain = text.replace("\\\\", "").replace('\\"', "")
    depth = 0
    for bracket in _NO_BRACKET.sub("", plain):
        if bracket in "[{":
            depth += 1
            if depth > max_depth:
                return True
        elif bracket in "]}":
            depth -= 1
    return False
