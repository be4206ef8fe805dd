"""How much may be asked of an archive, and when: one governor for all processes that talk to it."""
