"""What is kept on this machine: the cache of answers, and the small state that is never thrown away.

Every file here is immutable once it has its name, so any number of processes share it without a lock;
specs/10-store.md says why.
"""
