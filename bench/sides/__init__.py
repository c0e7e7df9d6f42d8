"""What each side does in its worker: `open_*` functions that return a `bench.worker.Job`.

Peers' modules import nothing of Gristmill; ours import nothing of the peers.
"""
