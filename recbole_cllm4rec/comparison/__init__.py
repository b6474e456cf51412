"""Side-by-side tables: which runs they need, one process a run, what is there already."""
