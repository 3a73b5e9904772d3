"""How the tables came to be what `tables.py` says, step by step; run by `schema.py`, shipped with the package.

A released step is never changed. A new one is a file `versions/v<number>_<what>.py` with the last one as its
`down_revision` and its own number as `tables.REVISION`. There is no way back: an older version refuses a newer
database. No step uses the package's own types: it means the same in ten years.
"""
