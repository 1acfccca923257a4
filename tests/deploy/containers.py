"""Containers without Docker: buildah builds, podman runs, both in a folder of their own."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.deploy.dockerfile import DOCKER, ROOT

FOLDER = Path(os.environ.get("IMAGES", ROOT / ".images"))
# runc takes cgroups of either version; podman's own limits may be more than this machine allows.
CONTAINERS = """[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
"""
STORAGE = """[storage]
driver = "overlay"
graphroot = "{folder}/store"
runroot = "{folder}/run"
"""
DEBIAN = {
    "buildah": "buildah",
    "podman": "podman",
    "runc": "runc",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "debootstrap": "debootstrap",
}


class Containers:
    """folder: where everything lies; it may be removed at any time."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self.folder = folder.absolute()
        missing = [package for command, package in DEBIAN.items() if not shutil.which(command)]
        assert not missing, f"This needs Debian's {', '.join(missing)}: apt-get install them."
        assert os.geteuid() == 0, "Only root can build with debootstrap and buildah here."
        (self.folder / "networks").mkdir(parents=True, exist_ok=True)
        self.environment = dict(os.environ)
        for name, text in (("CONTAINERS_CONF", CONTAINERS), ("CONTAINERS_STORAGE_CONF", STORAGE)):
            path = self.folder / f"{name.lower()}.toml"
            path.write_text(text.format(folder=self.folder))
            self.environment[name] = str(path)

    def run(self, *command: str | Path, is_checked: bool = True) -> str:
        """Its standard output; what went wrong is in the error."""
        result = subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        words = " ".join(map(str, command))
        failed = is_checked and result.returncode != 0
        assert not failed, f"{words}\n{result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        return result.stdout

    def has(self, image: str) -> bool:
        return bool(self.run("buildah", "images", "-q", image, is_checked=False).strip())

    def layer(
        self,
        image: str,
        base: str,
        *layers: tuple[Path, str],
        entrypoint: str = "",
        **environment: str,
    ) -> None:
        """An image of a base, or of `scratch`, with folders copied to places in it."""
        container = self.run("buildah", "from", "--pull-never", base).strip()
        for source, place in layers:
            self.run("buildah", "add", "--quiet", container, source, place)
        for name, value in environment.items():
            self.run("buildah", "config", "--env", f"{name}={value}", container)
        if entrypoint:
            self.run("buildah", "config", "--entrypoint", f'["{entrypoint}"]', container)
        self.run("buildah", "commit", "--quiet", "--rm", container, image)

    def build(self, name: str) -> str:
        """The image of docker/NAME.Dockerfile, from bases that are here; returns its name."""
        image = f"localhost/upscale-{name}:0.1.0"
        file = DOCKER / f"{name}.Dockerfile"
        options = ("--isolation", "chroot", "--pull-never", "--quiet", "--layers")
        self.run("buildah", "bud", *options, "-f", file, "-t", image, ROOT)
        return image

    def sizes_mb(self, image: str, *folders: str) -> dict[str, float]:
        """10^6 bytes that each folder of it takes."""
        command = ("podman", "run", "--rm", "--network", "none", "--entrypoint", "du", image)
        lines = self.run(*command, "-sx", "--block-size=1000", *folders).splitlines()
        return {line.split("\t")[1]: int(line.split("\t")[0]) / 1e3 for line in lines}
