"""How does the system get back what a run no longer needs, before the run takes more?"""

import ctypes


def give_back() -> None:
    """Give back what is free, where the C library can: what arrays leave behind is kept by it, and no use to small objects."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
