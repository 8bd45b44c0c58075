"""Push a blessed model to a folder of versions, atomically."""
