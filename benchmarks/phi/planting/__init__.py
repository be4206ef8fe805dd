"""Plant invented people into clean objects: files for the tools, and the answer key."""
