"""Profiles of property tests: ``quick`` for the gate, ``full`` for everything else; none has a deadline.

Deadlines measure the machine's load, not the code.
"""

from hypothesis import settings

settings.register_profile("quick", max_examples=15, deadline=None)
settings.register_profile("full", deadline=None)
settings.load_profile("full")
