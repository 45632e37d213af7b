"""Which regular expressions a record may hold: those that RE2 reads, which is what Envoy reads them with.

One expression that Envoy refuses makes it refuse every route of a gateway, so RE2 itself is asked before.
"""

import re2

LONGEST = 1000
"""Characters. Far beyond what a person writes; a bound on what one record can make Envoy compile."""
LARGEST = 100
"""Instructions of RE2's program: the default of Envoy's `re2.max_program_size.error_level`, beyond which it refuses
every route of the gateway."""

UTF8 = re2.Options()
UTF8.log_errors = False
LATIN1 = re2.Options()
LATIN1.log_errors = False
LATIN1.encoding = re2.Options.Encoding.LATIN1
"""Envoy 1.40 reads bytes, for which a character beyond `\\x{ff}` does not exist; Envoy 1.36 reads UTF-8."""


def lacking(expression: str) -> str | None:
    """What is wrong with the expression, in words that follow its name; None: nothing."""
    if len(expression) > LONGEST:
        return f"is longer than {LONGEST} characters"
    try:
        sizes = re2.compile(expression, UTF8).programsize, re2.compile(expression.encode(), LATIN1).programsize
    except re2.error as error:
        [why] = error.args
        return f"is not a regular expression of RE2: {why.decode() if isinstance(why, bytes) else why}"
    if (size := max(sizes)) > LARGEST:
        return f"is too large for Envoy: RE2 makes {size} instructions of it, and Envoy takes {LARGEST}"
    return None
