"""What runs on a Ray cluster: one of this machine, started once for all of these tests."""
