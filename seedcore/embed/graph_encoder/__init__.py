"""Vectors of a node from its own words and its neighbourhood: deterministic, inductive, numpy and scipy.

GraphSAGE's idea (Hamilton, Ying and Leskovec, 2017) without training by gradient: a node's features, and
the weighted means of its neighbours' features over some hops. `graph-mean` projects them at random and
needs no fit; `graph-head` learns its projections from the graph in closed form.
"""
