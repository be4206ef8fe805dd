"""REST interface of the gateway."""
