"""``diptych serve``: a pushed model over HTTP.

The door (one process, ``door``, ``app``) checks who asks and how much comes, before anything is
read whole; the models run behind it in Ray Serve (``embedder``), a deployment for each version.
"""
