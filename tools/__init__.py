"""What `make` runs: see run.py."""
