"""The graph of what the cluster knows: nodes for its entities, edges between them, and their commands."""
