"""Remove this patient's own values from texts, keep all other words."""
