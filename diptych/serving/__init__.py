"""``diptych serve``: a pushed model over HTTP."""
