"""The load protocol, written once for every engine: staging, merging, linking, what is gone."""
