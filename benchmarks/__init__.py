"""Measurements that anybody can repeat: `make bench`, or `make bench QUICK=1` for a look that takes minutes."""
