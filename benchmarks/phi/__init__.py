"""Seeded-PHI benchmark: invented patients planted in DICOM objects, and a score of what is left of them.

``planting`` writes files and the answer key, ``tools`` de-identifies them, ``judging`` holds the results to
the key. After MIDI-B (Pei et al., arXiv 2507.23608); looks at whole files, intervals and references as well.
"""
