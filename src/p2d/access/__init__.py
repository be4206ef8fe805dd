"""Who may ask what: roles, sessions, modality policy."""
