"""Real servers for the tests: each a child process on this machine, with a folder and ports of its own.

    with Cluster("east", parts={"prometheus", "node", "loki"}) as east:
        east.prometheus.wait_for("up == 1")
        push_logs(east.loki, [({"app": "web"}, [(time.time(), "hello")])])
        east.loki.kill()

`cluster` puts the parts together, `fleet` adds the kubeconfig and the config for aiops, `kube` writes
objects, `push` logs and spans. `python -m tests.servers build` gets the programs, `… up` runs clusters
until Ctrl-C.
"""
