"""Facts: statements with tags, a namespace, a triple, and the time in which they hold."""
