"""Release or withhold: PS3.15 Annex E and this patient's own values."""
