"""The cohort language in words, German and English."""
