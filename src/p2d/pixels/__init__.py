"""Rendering of pixel data."""
