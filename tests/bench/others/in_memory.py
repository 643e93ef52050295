"""One call of OpenBLAS in memory with its own threads: in_memory.py gemm|chol N. Prints seconds.

dpotrf is what LAPACKE_dpotrf calls once it has looked for NaN."""

import ctypes
import sys
import time

import numpy as np

lib = ctypes.CDLL("libopenblas.so.0")
operation, n = sys.argv[1], int(sys.argv[2])
a = np.random.default_rng(1).standard_normal((n, n))
c = np.zeros((n, n))
if operation == "chol":
    a = a + a.T
    a[np.diag_indices(n)] += 4 * n
info = ctypes.c_int(0)


def i(value):
    return ctypes.c_int(value)


def at(array):
    return array.ctypes.data_as(ctypes.c_void_p)


start = time.monotonic()
if operation == "gemm":
    lib.cblas_dgemm(i(101), i(111), i(111), i(n), i(n), i(n), ctypes.c_double(1), at(a), i(n),
                    at(a), i(n), ctypes.c_double(0), at(c), i(n))
else:
    lib.dpotrf_(ctypes.c_char_p(b"U"), ctypes.byref(i(n)), at(a), ctypes.byref(i(n)),
                ctypes.byref(info))
print(time.monotonic() - start)
assert info.value == 0
