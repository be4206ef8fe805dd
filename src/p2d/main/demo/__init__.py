"""The demonstration: a synthetic hospital and all of P2D on one machine."""
