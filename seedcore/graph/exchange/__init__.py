"""The graph as files: written from one consistent snapshot, with a manifest."""
