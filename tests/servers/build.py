"""`python -m tests.servers build`: get every server program that this machine lacks.

Debian programs are taken out of their packages into the cache: nothing is installed, so no service is
started, no user is added and root is not needed. Go programs are built from the pinned modules under
`go/`. Both are written aside and renamed, so a build that was cut off is never taken for a finished one.
Standard library only.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.binaries import (
    CACHE_ROOT,
    DEBIAN_PACKAGES,
    GO_MODULES,
    DebianPackage,
    GoModule,
    find_debian,
    find_go,
    which,
)


class BuildFailed(RuntimeError):
    """Why a program could not be had: one line, then the end of what the tool said."""


@contextmanager
def _locked(name: str) -> Iterator[None]:
    """Two builds of the same thing at once: the second waits and then finds it done."""
    CACHE_ROOT.mkdir(parents=True, exist_ok=True)
    with (CACHE_ROOT / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _aside(final: Path) -> Iterator[Path]:
    """A folder beside `final` that takes its place once the block ends without an error."""
    working = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=CACHE_ROOT))
    try:
        yield working
        if final.exists():
            shutil.rmtree(final)
        working.chmod(0o755)
        working.rename(final)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _run(command: list[str], *, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-15:])
        raise BuildFailed(f"`{' '.join(command[:3])} …` ended with {done.returncode}:\n{tail}")
    return done.stdout


def extract_debian(package: DebianPackage) -> str:
    """Download the package with package lists of our own and unpack it. Returns its version."""
    if not (which("apt-get") and which("dpkg-deb")):
        raise BuildFailed(
            f"there is no apt-get and dpkg-deb here to take it from Debian's `{package.package}`; "
            f"put the program on PATH by hand"
        )
    with _locked("debian"), _aside(package.directory) as working:
        state = CACHE_ROOT / ".apt"
        for folder in ("lists/partial", "cache/archives/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        options = [
            f"-oDir::State::lists={state / 'lists'}",
            f"-oDir::Cache={state / 'cache'}",
            "-oAPT::Sandbox::User=root",
            "-qq",
        ]
        quiet = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        fresh = state / "updated"
        if not fresh.exists() or time.time() - fresh.stat().st_mtime > 3600:
            _run(["apt-get", *options, "update"], cwd=working, env=quiet)
            fresh.touch()
        wanted = [package.package, *package.data]
        if package.libraries:
            install = ["install", "--simulate", "--no-install-recommends", package.package]
            wanted += _libraries(_run(["apt-get", *options[:-1], *install], cwd=working, env=quiet))
        _run(["apt-get", *options, "download", *wanted], cwd=working, env=quiet)
        version = ""
        for archive in sorted(working.glob("*.deb")):
            if archive.name.startswith(f"{package.package}_"):
                version = _run(["dpkg-deb", "-f", archive.name, "Version"], cwd=working).strip()
            _run(["dpkg-deb", "-x", archive.name, "."], cwd=working)
            archive.unlink()
        (working / "VERSION").write_text(version + "\n")
    return version


def _libraries(simulated: str) -> list[str]:
    """The packages of shared libraries that an installation would bring."""
    names = [line.split()[1] for line in simulated.splitlines() if line.startswith("Inst ")]
    return [n for n in names if n.startswith(("lib", "ibverbs")) and not n.endswith("-dev")]


def go_version() -> str:
    """Such as `go1.26.8`. Raises BuildFailed where there is no Go, or one that cannot build these."""
    if not which("go"):
        raise BuildFailed("go is not installed (Go 1.26 or later builds it; see https://go.dev/doc/install)")
    return _run(["go", "env", "GOVERSION"], cwd=GO_MODULES[0].source).strip()


def build_go(module: GoModule) -> float:
    """Build the module's programs into the cache unless this Go did so before. Returns seconds taken."""
    with _locked(module.name):
        final = module.directory(go_version())
        if final.is_dir():
            return 0.0
        began = time.monotonic()
        with _aside(final) as working:
            _run(
                [
                    "go",
                    "build",
                    "-trimpath",
                    f"-ldflags={module.ldflags}",
                    f"-tags={module.tags}",
                    "-o",
                    f"{working}/",
                    *module.programs.values(),
                ],
                cwd=module.source,
                # GOFLAGS and GOWORK of the user's own must not bend a pinned build.
                env={"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"},
            )
            for program, package in module.programs.items():
                built = working / package.rsplit("/", 1)[-1]
                if built.name != program:
                    built.rename(working / program)
        return time.monotonic() - began


def _say(program: str, what: str) -> None:
    print(f"{program:<24} {what}", flush=True)


def _get_debian(package: DebianPackage) -> dict[str, str]:
    """Make sure of one package's programs; returns those that could not be had, with the reason."""
    failed: dict[str, str] = {}
    note = ""
    if any(find_debian(package, program) is None for program in package.programs):
        try:
            note = f"taken from Debian {package.package} {extract_debian(package)}: "
        except BuildFailed as error:
            failed = dict.fromkeys(package.programs, str(error))
    for program in package.programs:
        if found := find_debian(package, program):
            failed.pop(program, None)
            _say(program, f"{note}{found}")
        elif program not in failed:
            failed[program] = f"Debian's {package.package} has no {package.programs[program]}"
    return failed


def _get_go(module: GoModule) -> dict[str, str]:
    """Make sure of one module's programs; returns those that could not be had, with the reason."""
    failed: dict[str, str] = {}
    note = "built before: "
    if any(find_go(module, program) is None for program in module.programs):
        print(f"building {module.module} {module.version}: some minutes when nothing is cached", flush=True)
        try:
            note = f"built in {build_go(module):.0f} s: "
        except BuildFailed as error:
            failed = dict.fromkeys(module.programs, str(error))
    for program in module.programs:
        if found := find_go(module, program):
            failed.pop(program, None)
            _say(program, f"{module.version} {note if CACHE_ROOT in found.parents else 'on PATH: '}{found}")
    return failed


def build_all() -> int:
    """Get everything that is missing and print where each program comes from; 1 if one is missing."""
    if platform.system() != "Linux":
        print("the test servers need Linux", file=sys.stderr)
        return 1
    began = time.monotonic()
    missing: dict[str, str] = {}
    for package in DEBIAN_PACKAGES:
        missing |= _get_debian(package)
    for module in GO_MODULES:
        missing |= _get_go(module)
    for program, reason in missing.items():
        print(f"{program:<24} MISSING: {reason}", file=sys.stderr)
    have = sum(len(s.programs) for s in (*DEBIAN_PACKAGES, *GO_MODULES)) - len(missing)
    print(f"{have} server programs ready, {len(missing)} missing, {time.monotonic() - began:.0f} s")
    return 1 if missing else 0
