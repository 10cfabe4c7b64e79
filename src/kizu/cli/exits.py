"""How a command ends, for programs. Nothing unforeseen is ever 1: that would be a verdict."""

NG_FOUND = 1
"""Only where it was asked for."""
DISAGREES = 1
"""An exported file decides otherwise than its run."""
USER_ERROR = 2
"""Somebody can mend it, as the hint says."""
SOME_UNREAD = 3
"""All is done but for pictures that could not be read."""
BUG = 70
INTERRUPTED = 130
PIPE_CLOSED = 141
"""As of a program that ends because nobody reads its output any more."""
