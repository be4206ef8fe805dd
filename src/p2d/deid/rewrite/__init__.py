"""A data set from its bytes to released bytes and elements, without building it in between."""
