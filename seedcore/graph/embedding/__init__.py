"""Vectors of the graph's shape: read what they depend on, encode, store, and fit the encoder."""
