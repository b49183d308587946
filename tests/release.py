#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What scripts/release built: one library in all of it; the archive and the package work where they are unpacked, and leave without a
trace; the image fills a volume in a pod, and what it put there works. usage: release.py DIST PYTHON..."""
import glob
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

dist, pythons = sys.argv[1], sys.argv[2:]
APP = "def f(n): return sum(i * i for i in range(n))\nf(4000000)\nprint('it ran')\n"
env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "SPPROF", "LD_"))}


def artifact(pattern):
    found = glob.glob(os.path.join(dist, pattern))
    assert len(found) == 1, (pattern, found)
    return found[0]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def run(*command, **kw):
    r = subprocess.run(command, capture_output=True, text=True, env=env, **kw)
    assert r.returncode == 0, (command, r.returncode, r.stdout, r.stderr)
    return r.stdout


def names(d):
    return {os.path.relpath(os.path.join(p, f), d) for p, folders, fs in os.walk(d) for f in fs + folders}


def works(command, library, d):
    """Under every interpreter."""
    app = os.path.join(d, "app.py")
    with open(app, "w") as f:
        f.write(APP)
    assert run(command, "--lib") == os.path.realpath(library) + "\n"
    for python in pythons:
        profile = os.path.join(d, "app.json")
        assert run(command, "run", "--out", profile, "--", python, app) == "it ran\n", python
        assert " f (" in run(command, "report", profile), python


def sums():
    listed = dict(reversed(line.split("  ")) for line in read(artifact("SHA256SUMS")).decode().splitlines())
    assert set(listed) == set(os.listdir(dist)) - {"SHA256SUMS"}, listed
    for name, digest in listed.items():
        assert hashlib.sha256(read(os.path.join(dist, name))).hexdigest() == digest, name


def image_layer():
    """Follows the layout as a runtime does: every blob has the digest that names it."""
    with tarfile.open(artifact("*-oci-*.tar")) as tar:
        files = {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}
    assert json.loads(files["oci-layout"])["imageLayoutVersion"] == "1.0.0"

    def blob(descriptor):
        data = files["blobs/sha256/" + descriptor["digest"].split(":")[1]]
        assert "sha256:" + hashlib.sha256(data).hexdigest() == descriptor["digest"] and len(data) == descriptor["size"], descriptor
        return data

    manifest = json.loads(blob(json.loads(files["index.json"])["manifests"][0]))
    config, (layer,) = json.loads(blob(manifest["config"])), manifest["layers"]
    layer = gzip.decompress(blob(layer))
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(layer).hexdigest()]
    return config, layer


def debug_files(library):
    with tempfile.TemporaryDirectory() as d:
        shutil.copy(library, os.path.join(d, "l.so"))
        of = re.search("Build ID: ([0-9a-f]+)", run("readelf", "-n", os.path.join(d, "l.so")))[1]
        run("tar", "-xzf", artifact("*-debug-*.tar.gz"), "-C", d)
        assert ".debug_info" in run("readelf", "-SW", f"{d}/.build-id/{of[:2]}/{of[2:]}.debug")
        assert ".debug_info" not in run("readelf", "-SW", os.path.join(d, "l.so"))


def package():
    """In a root of its own: installed, replaced by a later one, removed."""
    with tempfile.TemporaryDirectory() as d:
        root = os.path.join(d, "root")
        os.makedirs(os.path.join(root, "var/lib/dpkg/updates"))
        os.makedirs(os.path.join(root, "var/lib/dpkg/info"))
        os.makedirs(os.path.join(root, "usr"))
        for name in ("status", "available"):
            open(os.path.join(root, "var/lib/dpkg", name), "w").close()
        deb, later = artifact("*.deb"), os.path.join(d, "later.deb")
        run("dpkg-deb", "-R", deb, os.path.join(d, "parts"))
        control = os.path.join(d, "parts/DEBIAN/control")
        with open(control) as f:
            text = re.sub("(?m)^Version: .*", "Version: 99.0", f.read())
        with open(control, "w") as f:
            f.write(text)
        added = os.path.join(d, "parts/usr/share/doc/spprof/added")
        open(added, "w").close()
        run("dpkg-deb", "--root-owner-group", "-b", os.path.join(d, "parts"), later)
        dpkg = ["dpkg", "--root=" + root, "--force-depends", "--log=/dev/null"]
        before = names(os.path.join(root, "usr"))
        for package_file, has_added in ((deb, False), (later, True), (deb, False)):
            run(*dpkg, "--force-downgrade", "-i", package_file)
            library, = glob.glob(os.path.join(root, "usr/lib/*/spprof/libspprof.so"))
            assert os.path.exists(os.path.join(root, "usr/share/doc/spprof/added")) == has_added
            assert read(library) == the_library
            works(os.path.join(root, "usr/bin/spprof"), library, d)
        run(*dpkg, "-P", "spprof")
        assert names(os.path.join(root, "usr")) == before, names(os.path.join(root, "usr")) - before


def in_a_pod(config, layer):
    """As an init container: no rights, no shell, a read-only root, one volume."""
    if not shutil.which("runc"):
        print("skip: no runc to start the image with")
        return
    with tempfile.TemporaryDirectory() as d:
        volume, rootfs = os.path.join(d, "volume"), os.path.join(d, "rootfs")
        os.mkdir(volume)
        os.chmod(volume, 0o777)
        tarfile.open(fileobj=io.BytesIO(layer)).extractall(rootfs)
        for name in ("proc", "opt"):
            os.makedirs(os.path.join(rootfs, name, *(["spprof"] if name == "opt" else [])))
        run("runc", "spec", "-b", d)
        spec = json.loads(read(os.path.join(d, "config.json")))
        uid = int(config["config"]["User"].split(":")[0])
        spec["process"].update(args=config["config"]["Entrypoint"] + ["install", "/opt/spprof"], terminal=False, user={"uid": uid, "gid": uid},
                               capabilities={}, noNewPrivileges=True, cwd="/")
        spec.pop("hostname", None)
        spec["root"] = {"path": rootfs, "readonly": True}
        spec["mounts"] = [{"destination": "/proc", "type": "proc", "source": "proc"},
                          {"destination": "/opt/spprof", "type": "bind", "source": volume, "options": ["bind", "rw"]}]
        spec["linux"] = {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}]}
        with open(os.path.join(d, "config.json"), "w") as f:
            json.dump(spec, f)
        r = subprocess.run(["runc", "--root", os.path.join(d, "state"), "run", "-b", d, "spprof-release-test"], capture_output=True, text=True)
        if r.returncode and "cgroup" in r.stderr:
            print("skip: runc cannot start containers here: " + r.stderr.strip()[-200:])
            return
        assert r.returncode == 0 and r.stdout == "/opt/spprof/libspprof.so\n/opt/spprof/spprof\n", r
        assert read(os.path.join(volume, "libspprof.so")) == the_library
        works(os.path.join(volume, "spprof"), os.path.join(volume, "libspprof.so"), d)


def materials():
    document = json.loads(read(artifact("*.spdx.json")))
    ids = {p["SPDXID"] for p in document["packages"]}
    assert document["spdxVersion"] == "SPDX-2.3" and len(ids) == 9 and all(p["versionInfo"] for p in document["packages"])
    assert {r["relatedSpdxElement"] for r in document["relationships"]} == ids


sums()
with zipfile.ZipFile(artifact("*.whl")) as z:
    the_library = z.read("spprof/libspprof.so")
config, layer = image_layer()
with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
    assert tar.extractfile("libspprof.so").read() == the_library and tar.getmember("spprof").mode == 0o755
with tempfile.TemporaryDirectory() as d:
    run("tar", "-xzf", artifact("*-linux-*.tar.gz"), "-C", d)
    top, = os.listdir(d)
    assert read(os.path.join(d, top, "lib/spprof/libspprof.so")) == the_library
    works(os.path.join(d, top, "bin/spprof"), os.path.join(d, top, "lib/spprof/libspprof.so"), d)
    print("ok   the archive")
    debug_files(os.path.join(d, top, "lib/spprof/libspprof.so"))
package()
print("ok   the package")
in_a_pod(config, layer)
print("ok   the image")
materials()
