"""What `scripts/chaos` is made of: real workers, a real server, faults, and a judge of the outcome."""
