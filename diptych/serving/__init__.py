"""``diptych serve``: HTTP service of a pushed model."""
