"""narrow."""
