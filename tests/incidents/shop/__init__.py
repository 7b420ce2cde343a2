"""A small shop of real processes: real metrics, logs, traces, a real database and a real volume.

    load → frontend → catalog
                    → checkout → cart (spool on a volume of its own)
                               → payment → ledger → ledger-db
                        settlement (a batch job) → ledger

Every process is one pod. `python -m tests.incidents.shop SERVICE` runs one of them; its environment says
who it is and where the others are. Faults are switched on through its admin port and then happen by the
program's own doing: connections are not given back, a volume is written full.
"""
