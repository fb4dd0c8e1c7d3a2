"""Tasks of type graph: what they may start from, the operations that they ask for, and their claim."""
