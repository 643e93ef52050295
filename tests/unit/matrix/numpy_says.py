"""What Python and numpy say of types, npy files and headers, for test_numpy.c.

    numpy_says.py pickles          types as pickles: "BASE64 DESCR" lines
    numpy_says.py npy              heads of .npy files: "DESCR ORDER SHAPE BYTES-OF-DATA HEX" lines
    numpy_says.py headers          stored headers: "DESCR SHAPE SHARDS TEXT" lines
    numpy_says.py check-pickles    reads "BASE64 DESCR" lines: exit status 0 when all agree
    numpy_says.py check-headers    reads lines of "ORIGINAL\\tSTORED\\tPRESENTED": the same

Sizes of a shape are joined by commas; "-" is the scalar's shape. SEED=N repeats a run.
"""

import base64
import io
import itertools
import json
import math
import os
import pickle
import pickletools
import random
import sys
import warnings

import numpy as np

TYPES = [
    "bool_", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64", "complex64", "complex128",
]
DERIVED = ["order", "grid", "block_name", "block_encoding", "inferred", "format", "views"]


def is_ours(dtype):
    return dtype.kind in "biufc" and dtype.itemsize <= 16 and dtype.char not in "gG"


def aliases():
    """All names under which this numpy knows our types, as texts and as attributes."""
    names = [n for n in getattr(np, "sctypeDict", {}) if isinstance(n, str) and not n.isdigit()]
    names += [n for n in dir(np) if isinstance(getattr(np, n, None), type)
              and issubclass(getattr(np, n), np.generic)]
    for name in sorted(set(names)):
        for value in (name, getattr(np, name, None)):
            try:
                abstract = isinstance(value, type) and np.dtype(value).type is not value
                if value is not None and not abstract and is_ours(np.dtype(value)):
                    yield value
            except TypeError:
                pass


def type_values():
    for name in TYPES:
        scalar = getattr(np, name)
        yield from (scalar, name, np.dtype(scalar), np.dtype(scalar).newbyteorder("S"))
        for order in "=<>|":
            dtype = np.dtype(scalar).newbyteorder(order)
            yield from (dtype, dtype.str, order + dtype.str[1:])
    yield from (float, int, bool, complex, b"<f8")
    yield from aliases()


def say_pickles():
    lines = set()
    for value in type_values():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            if isinstance(value, bytes) and protocol < 3:
                continue  # a call of a codec there
            for dump in (pickle.dumps, pickle._dumps):  # in C, in Python
                text = dump(value, protocol)
                for form in (text, pickletools.optimize(text)):
                    lines.add(f"{base64.b64encode(form).decode()} {np.dtype(value).str}")
    print("\n".join(sorted(lines)))


def shape_text(shape):
    return ",".join(map(str, shape)) or "-"


def say_npy_line(dtype, order, shape, head, data_bytes):
    print(dtype.str, order, shape_text(shape), data_bytes, head.hex())


def small_shapes():
    for ndim in range(6):
        sizes = (0, 1, 2, 3) if ndim < 4 else (1, 2, 7)
        shapes = list(itertools.product(sizes, repeat=ndim))
        yield from random.sample(shapes, min(len(shapes), 24))
    yield from ((100,), (99999,), (1, 100000), (100000, 1), (64, 128))


def long_shapes():
    """Texts of every length, so that each way to pad them occurs."""
    for ndim, digits in itertools.product(range(2, 33), (0, 1, 2)):
        yield (10**digits,) + (1,) * (ndim - 1)
        yield (2,) + (1,) * (ndim - 2) + (10**digits,)


def large_shapes():
    yield from ((2**31,), (2**58,), (2**31, 2**20), (1, 2**40, 3), (2**10,) * 5, (10**9, 10**8))
    for _ in range(20):
        yield tuple(random.randrange(2, 2 ** random.randrange(2, 50 // n))
                    for n in [random.randrange(2, 8)] for _ in range(n))


def say_npy():
    dtypes = [np.dtype(name).newbyteorder(order) for name in TYPES for order in "<>"]
    for dtype, shape in itertools.product(dtypes, list(small_shapes())):
        for order in "CF":
            out = io.BytesIO()
            array = np.zeros(shape, dtype, order)
            np.save(out, array)
            head = out.getvalue()[:len(out.getvalue()) - array.nbytes]
            say_npy_line(dtype, order, shape, head, array.nbytes)
    for dtype, shape in itertools.product(dtypes[20:], [*long_shapes(), *large_shapes()]):
        assert math.prod(shape) * dtype.itemsize < 2**63
        for order in "CF" if sum(n > 1 for n in shape) > 1 else "C":
            out = io.BytesIO()
            np.lib.format.write_array_header_1_0(out, {
                "descr": dtype.str, "fortran_order": order == "F", "shape": shape})
            say_npy_line(dtype, order, shape, out.getvalue(), math.prod(shape) * dtype.itemsize)


def say_headers():
    for i in range(400):
        scalar = getattr(np, TYPES[i % len(TYPES)])
        if scalar.__name__ == "bool":
            continue  # numpy 2; numpywren's numpy called it bool_
        ndim = random.randrange(1, 6)
        large = random.randrange(10 ** (15 // ndim))
        shape = [random.choice((0, 1, 7, 100, large)) for _ in range(ndim)]
        shards = [random.choice((1, 3, 4096, random.randrange(1, 10**6))) for _ in range(ndim)]
        text = json.dumps({
            "shape": tuple(shape), "shard_sizes": shards,
            "dtype": base64.b64encode(pickle.dumps(scalar, 3)).decode()})
        print(np.dtype(scalar).str, shape_text(shape), shape_text(shards), text)


def check_pickles():
    count = 0
    for line in sys.stdin:
        text, descr = line.split()
        value = pickle.loads(base64.b64decode(text))
        assert np.dtype(value).str == descr, (value, descr)
        assert np.dtype(value) == np.dtype(descr)
        count += 1
    assert count == 25, count  # 14 types, 11 of which have a second byte order


def check_headers():
    for line in sys.stdin:
        original, stored, presented = (json.loads(part) for part in line.split("\t"))
        assert stored == original
        assert list(stored) == list(original)
        dtype = np.dtype(pickle.loads(base64.b64decode(stored["dtype"])))
        assert np.dtype(presented.pop("dtype")) == dtype
        for name in DERIVED:
            del presented[name]
        del stored["dtype"]
        assert presented == stored, (presented, stored)


def main():
    seed = int(os.environ.get("SEED", random.randrange(2**32)))
    print("seed", seed, file=sys.stderr)
    random.seed(seed)
    warnings.simplefilter("ignore")
    {"pickles": say_pickles, "npy": say_npy, "headers": say_headers,
     "check-pickles": check_pickles, "check-headers": check_headers}[sys.argv[1]]()


main()
