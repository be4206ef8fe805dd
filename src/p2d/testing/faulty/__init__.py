"""The parts of the scripted faulty archive: its script, damaged objects, its own upper layer."""
