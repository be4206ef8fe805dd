"""Public test support: in-memory ports, synthetic hospital, test archive, contract suites."""
