"""What `benchmarks/queue.py` is made of: a server, contenders, scenarios, and a report."""
