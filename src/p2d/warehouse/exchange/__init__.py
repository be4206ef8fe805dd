"""The warehouse's content in the forms that other systems read; read-only over the canonical tables."""
