"""`meson install` puts the programs and their manual pages where it is told to."""

import os

import kit


def test_install_with_destdir(tmp_path):
    kit.run("meson", "install", "-C", kit.BUILD, "--no-rebuild", "--destdir", tmp_path, "--quiet")
    found = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if not p.is_dir()}
    bin_dir = next(name for name in found if name.endswith("/bin/bmfs")).removesuffix("bmfs")
    man_dir = next(name for name in found if name.endswith("/bmfs.1")).removesuffix("bmfs.1")
    names = {name.removeprefix(bin_dir) for name in found if name.startswith(bin_dir)}
    assert {"bmfs", "bm", "bm-gemm", "bm-create"} <= names
    assert {f"{man_dir}{name}.1" for name in names} | {bin_dir + name for name in names} == set(found)
    for name in names - {"bmfs", "bm"}:
        assert os.readlink(found[bin_dir + name]) == "bm"
    assert "multiply" in kit.run(found[bin_dir + "bm-gemm"], "--help").stdout
    assert "mount a bucket" in kit.run(found[bin_dir + "bmfs"], "--help").stdout


def test_the_cache_is_where_the_batch_system_says(dir_bucket, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    m = kit.Mount(dir_bucket, tmp_path, env={"SLURM_TMPDIR": str(scratch), "TMPDIR": "/nowhere"})
    at = m.command.index("--cache-dir")
    del m.command[at:at + 2]
    with m:
        folder, = scratch.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert len(os.listdir(folder / "mounts")) == 1
    assert os.listdir(folder / "mounts") == []
