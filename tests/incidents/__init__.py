"""Incidents that really happen: a small shop in three clusters, faults injected into it, bundles of it."""
