"""Push a blessed model into a folder of versions, atomically."""
