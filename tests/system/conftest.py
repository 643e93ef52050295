import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import kit  # noqa: E402

# Whoever runs the tests in the background may have these ignored, and programs inherit that.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
# `timeout` and whoever else ends a run leave no server and no mount behind, as Ctrl-C does.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--only-dir", action="store_true",
                     help="run no S3 server: tests of both kinds of bucket run on directories only")


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: it measures time, and nothing else ought to be running")


LONGEST = {"test_kill.py", "test_whole.py", "test_model.py", "test_faults.py"}


def pytest_collection_modifyitems(items):
    """The longest first, so that workers end at the same time."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.fixture(autouse=True)
def no_mount_outlives_its_test():
    older = len(kit.MOUNTS)  # of fixtures that serve more than one test
    yield
    while len(kit.MOUNTS) > older:
        kit.MOUNTS.pop().clean_up()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The test server, started when the first test wants it."""
    s = kit.Server(tmp_path_factory.mktemp("rgw"))
    yield s
    s.stop()


@pytest.fixture(params=["dir", "s3"])
def bucket(request, tmp_path):
    """An empty bucket of each kind."""
    if request.param == "dir":
        return kit.DirBucket(tmp_path / "store")
    if request.config.getoption("--only-dir"):
        pytest.skip("--only-dir")
    return request.getfixturevalue("server").bucket()


@pytest.fixture
def s3_bucket(request, server):
    return server.bucket()


@pytest.fixture
def dir_bucket(tmp_path):
    return kit.DirBucket(tmp_path / "store")


@pytest.fixture
def mount(bucket, tmp_path):
    """A mount of an empty bucket of each kind."""
    with kit.Mount(bucket, tmp_path) as m:
        yield m
