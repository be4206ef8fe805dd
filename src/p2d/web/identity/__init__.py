"""REST interface of the identity service."""
