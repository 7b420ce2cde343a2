"""Which server programs the tests use, where they come from, and where they are on this machine.

Standard library only: `build` runs before anything is installed. Nothing here starts a server.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GO_MODULES_DIR = Path(__file__).parent / "go"
SYSTEM_PATH = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin")


def _cache_root() -> Path:
    if chosen := os.environ.get("AIOPS_SERVERS_CACHE"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "aiops-test-servers"


# Read once: tests point XDG_CACHE_HOME elsewhere while they run.
CACHE_ROOT = _cache_root()


class MissingServer(RuntimeError):
    """A server program that this machine does not have; the message says how to get it."""


@dataclass(frozen=True)
class DebianPackage:
    """Programs that are taken out of a Debian package, which is not installed and never set up."""

    package: str
    programs: dict[str, str]  # our name -> path inside the package
    aliases: dict[str, tuple[str, ...]]  # our name -> names it may have on PATH
    libraries: bool = False  # its shared libraries that this machine lacks are taken too
    data: tuple[str, ...] = ()  # packages whose files it reads, taken too

    @property
    def directory(self) -> Path:
        return CACHE_ROOT / f"debian-{self.package}"


@dataclass(frozen=True)
class GoModule:
    """Programs built from one module, whose every version `go/NAME/go.mod` pins.

    `version_symbols` are linker symbols set to the version, as the released programs have them.
    `on_path` is False where only the pinned version understands the configuration written for it.
    `release` is what the released programs call that version, where the module's own name for it differs.
    `pins` is the folder of the go.mod where it is not `name`, `tags` are Go's build tags.
    """

    name: str
    module: str
    programs: dict[str, str]  # our name -> Go package
    version_symbols: tuple[str, ...]
    on_path: bool
    release: str = ""
    pins: str = ""
    tags: str = ""

    @property
    def source(self) -> Path:
        return GO_MODULES_DIR / (self.pins or self.name)

    @property
    def version(self) -> str:
        """What the programs say they are."""
        return self.release or self.pinned

    @property
    def pinned(self) -> str:
        found = re.search(
            rf"^\s*(?:require )?{re.escape(self.module)} (v\S+)", (self.source / "go.mod").read_text(), re.M
        )
        if not found:
            raise ValueError(f"{self.source / 'go.mod'} does not require {self.module}")
        return found.group(1)

    @property
    def ldflags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {s}={self.version}" for s in self.version_symbols)])

    @property
    def key(self) -> str:
        """Changes with every pinned version and with how the programs are linked."""
        digest = hashlib.sha256()
        for part in ("go.mod", "go.sum"):
            digest.update((self.source / part).read_bytes())
        digest.update(self.ldflags.encode())
        digest.update(self.tags.encode())
        digest.update(" ".join(self.programs.values()).encode())
        return digest.hexdigest()[:12]

    def directory(self, go_version: str) -> Path:
        return CACHE_ROOT / f"{self.name}-{self.key}-{go_version}"

    def built(self) -> Path | None:
        """The newest build of exactly these versions, whichever Go made it."""
        made = [d for d in CACHE_ROOT.glob(f"{self.name}-{self.key}-*") if d.is_dir()]
        return max(made, key=lambda d: d.stat().st_mtime, default=None)


DEBIAN_PACKAGES = (
    DebianPackage(
        "prometheus",
        {"prometheus": "usr/bin/prometheus", "promtool": "usr/bin/promtool"},
        {"prometheus": ("prometheus",), "promtool": ("promtool",)},
    ),
    DebianPackage(
        "prometheus-alertmanager",
        {"alertmanager": "usr/bin/prometheus-alertmanager", "amtool": "usr/bin/amtool"},
        {"alertmanager": ("prometheus-alertmanager", "alertmanager"), "amtool": ("amtool",)},
    ),
    DebianPackage(
        "prometheus-node-exporter",
        {"node-exporter": "usr/bin/prometheus-node-exporter"},
        {"node-exporter": ("prometheus-node-exporter", "node_exporter")},
    ),
    DebianPackage(
        "victoria-metrics",
        {"victoria-metrics": "usr/bin/victoria-metrics"},
        {"victoria-metrics": ("victoria-metrics",)},
    ),
    DebianPackage("etcd-server", {"etcd": "usr/bin/etcd"}, {"etcd": ("etcd",)}),
    DebianPackage(
        "linuxptp",
        {"ptp4l": "usr/sbin/ptp4l", "phc2sys": "usr/sbin/phc2sys", "pmc": "usr/sbin/pmc"},
        {"ptp4l": ("ptp4l",), "phc2sys": ("phc2sys",), "pmc": ("pmc",)},
    ),
    DebianPackage(
        "dpdk-dev",
        {"dpdk-testpmd": "usr/bin/dpdk-testpmd"},
        {"dpdk-testpmd": ("dpdk-testpmd",)},
        libraries=True,
    ),
    DebianPackage(
        "chromium-headless-shell",
        {"browser": "usr/lib/chromium/chromium-headless-shell"},
        {"browser": ("chromium-headless-shell", "chromium")},
        libraries=True,
        data=("chromium-common",),
    ),
)

GO_MODULES = (
    GoModule(
        "kubernetes",
        "k8s.io/kubernetes",
        {
            "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver",
            "kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
            "kubectl": "k8s.io/kubernetes/cmd/kubectl",
        },
        ("k8s.io/component-base/version.gitVersion",),
        on_path=True,
    ),
    GoModule(
        "loki",
        "github.com/grafana/loki",
        {
            "loki": "github.com/grafana/loki/cmd/loki",
            "logcli": "github.com/grafana/loki/cmd/logcli",
        },
        ("github.com/grafana/loki/pkg/build.Version",),
        on_path=False,
        # Loki's module path lacks the /v2 of its tag, so go.mod names the tag's commit.
        release="2.2.1",
    ),
    GoModule(
        "jaeger",
        "github.com/jaegertracing/jaeger",
        {"jaeger": "github.com/jaegertracing/jaeger/cmd/all-in-one"},
        ("github.com/jaegertracing/jaeger/internal/version.latestVersion",),
        on_path=False,
    ),
    GoModule(
        "thanos",
        "github.com/thanos-io/thanos",
        {"thanos": "github.com/thanos-io/thanos/cmd/thanos"},
        ("github.com/prometheus/common/version.Version",),
        on_path=False,
        release="0.42.0",
        # As it is released: it casts labels to a layout that Prometheus has with this tag only.
        tags="slicelabels",
    ),
    # Thanos requires this very Prometheus, so one go.mod pins both and most is compiled once.
    GoModule(
        "prometheus3",
        "github.com/prometheus/prometheus",
        {
            "prometheus3": "github.com/prometheus/prometheus/cmd/prometheus",
            "promtool3": "github.com/prometheus/prometheus/cmd/promtool",
        },
        ("github.com/prometheus/common/version.Version",),
        on_path=False,
        release="3.9.1",
        pins="thanos",
    ),
)


def which(*names: str) -> Path | None:
    """The first of these programs on PATH or in the system's usual folders (sbin is on no user's PATH)."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_PATH])
    for name in names:
        if found := shutil.which(name, path=path):
            return Path(found)
    return None


def find_debian(package: DebianPackage, program: str) -> Path | None:
    if found := which(*package.aliases[program]):
        return found
    extracted = package.directory / package.programs[program]
    return extracted if extracted.is_file() else None


def find_go(module: GoModule, program: str) -> Path | None:
    if (built := module.built()) and (built / program).is_file():
        return built / program
    return which(program) if module.on_path else None


@cache
def _found(program: str) -> Path | None:
    for package in DEBIAN_PACKAGES:
        if program in package.programs:
            return find_debian(package, program)
    for module in GO_MODULES:
        if program in module.programs:
            return find_go(module, program)
    raise ValueError(f"no server program is called {program}")


def locate(program: str) -> Path:
    """The path of a server program.

    Raises MissingServer where this machine does not have it.
    """
    if found := _found(program):
        return found
    raise MissingServer(f"{program} is not on this machine (get it with: make servers)")
