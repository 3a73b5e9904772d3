"""Code for a kernel whose variables are saved no sooner than a test wants, or when a bound is over.

There are several because one alone is given up after 15 s.
"""

SLOW = """
class Slow:
    def __reduce__(self):
        import os, time
        until = time.monotonic() + 12
        while not os.path.exists("/workspace/go") and time.monotonic() < until:
            time.sleep(0.05)
        return Slow, ()
slow_1, slow_2, slow_3, slow_4, slow_5 = (Slow() for _ in range(5))
"""
