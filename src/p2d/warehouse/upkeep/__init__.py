"""What keeps a warehouse in shape beside loads and questions: promotion, catalogue, check, erasure.

It is written against the port ``tending.Tending``, so that every engine that is loaded has all of it.
"""
