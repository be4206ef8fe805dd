"""Find and retrieve: port and connectors to picture archives."""
