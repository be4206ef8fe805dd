"""Connector over P2D's own DIMSE layer: few queries, lists of instances, pixel data dropped on arrival."""
