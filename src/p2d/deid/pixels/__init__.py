"""Text burned into pixels: which objects may show it, and what becomes of them."""
