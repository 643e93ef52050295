"""Dask from zarr to zarr on the local disk: with_dask.py gemm|chol N THREADS FOLDER. Prints seconds.

Chunks of 2048, uncompressed; the input is made once and its pages are dropped before the clock."""

import os
import sys
import time
from pathlib import Path

import dask
import dask.array as da
from dask.array.linalg import cholesky

operation, n, threads, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
source = folder / f"{operation}-{n}"
dask.config.set(scheduler="threads", num_workers=threads)
if not (source / ".made").exists():
    x = da.random.RandomState(1).standard_normal((n, n), chunks=2048)
    if operation == "chol":
        x = x + x.T + 4 * n * da.eye(n, chunks=2048)
    x.to_zarr(str(source), overwrite=True, compressor=None)
    (source / ".made").touch()
for path in source.rglob("*"):
    if path.is_file():
        with open(path, "rb") as f:
            os.fsync(f.fileno())
            os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
a = da.from_zarr(str(source))
start = time.monotonic()
y = a @ a if operation == "gemm" else cholesky(a, lower=True)
y.to_zarr(str(folder / "out"), overwrite=True, compressor=None)
print(time.monotonic() - start)
