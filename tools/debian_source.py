"""Source packages of Debian stable, from the archive that this machine's apt is set up with.

The addresses come from apt's own source lists. Downloads are checked against the archive's
InRelease file. The signature of that file is checked if gpgv and Debian's keyring are on the
machine.
"""

from __future__ import annotations

import hashlib
import lzma
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools.shell import Failure, capture, say

SUITE = "trixie"
APT = Path("/etc/apt")
KEYRING_DIRECTORY = Path("/usr/share/keyrings")
TIMEOUT = 30.0
ATTEMPTS = 3
CHUNK = 1 << 18


@dataclass(frozen=True)
class AptSource:
    """One archive URI of apt's configuration, with the suites that are configured for it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True)
class Tarball:
    """The upstream tarball of a source package."""

    package: str
    version: str
    path: str
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


# --- apt's source lists -------------------------------------------------------------------------


def parse_list(text: str) -> list[AptSource]:
    """The one-line format: `deb [options] uri suite component...`."""
    sources = []
    for line in text.splitlines():
        entry = re.sub(r"\[[^\]]*\]", " ", line.partition("#")[0])
        words = entry.split()
        if len(words) >= 3 and words[0] in ("deb", "deb-src"):
            sources.append(AptSource(words[1].rstrip("/"), (words[2],), tuple(words[3:])))
    return sources


def parse_paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Paragraphs of the deb822 format; continuation lines stay joined by newlines."""
    for paragraph in re.split(r"\n(?:[ \t]*\n)+", text):
        fields: dict[str, str] = {}
        name = ""
        for line in paragraph.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in (" ", "\t"):
                if name:
                    fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            yield fields


def parse_deb822(text: str) -> list[AptSource]:
    """The `.sources` format of apt."""
    sources = []
    for fields in parse_paragraphs(text):
        if fields.get("enabled", "yes").lower() in ("no", "false", "off", "0"):
            continue
        if not {"deb", "deb-src"} & set(fields.get("types", "").split()):
            continue
        suites = tuple(fields.get("suites", "").split())
        components = tuple(fields.get("components", "").split())
        uris = fields.get("uris", "").split()
        sources += [AptSource(uri.rstrip("/"), suites, components) for uri in uris]
    return sources


def archive_uris(sources: Iterable[AptSource]) -> list[str]:
    """URIs that may have Debian's main archive, the most likely first, without duplicates."""

    def unlikely(source: AptSource) -> bool:
        path = urlsplit(source.uri).path.rstrip("/")
        return not path.endswith("/debian")

    main = [source for source in sources if "main" in source.components]
    uris = [source.uri for source in sorted(main, key=unlikely)]
    return list(dict.fromkeys(uri for uri in uris if not uri.startswith("cdrom:")))


def expand_mirrors(uri: str) -> list[str]:
    """`mirror+file:` (in Debian's cloud images) names a file with one archive URI in each line."""
    if not uri.startswith("mirror+file:"):
        return [uri]
    try:
        lines = Path(urlsplit(uri).path).read_text(errors="replace").splitlines()
    except OSError:
        return []
    words = [line.partition("#")[0].split() for line in lines]
    return [entry[0].rstrip("/") for entry in words if entry]


def configured_uris(apt: Path = APT) -> list[str]:
    sources: list[AptSource] = []
    parts = apt / "sources.list.d"
    for path in [apt / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.is_file():
            sources += parse_list(path.read_text(errors="replace"))
    for path in sorted(parts.glob("*.sources")):
        sources += parse_deb822(path.read_text(errors="replace"))
    return [real for uri in archive_uris(sources) for real in expand_mirrors(uri)]


# --- the archive's indexes ----------------------------------------------------------------------


def parse_release(text: str) -> tuple[str, dict[str, str]]:
    """The origin that an InRelease file states, and the SHA256 of each index it lists."""
    body = re.sub(r"\A-----BEGIN PGP SIGNED MESSAGE-----\n(?:.+\n)*\n", "", text)
    body = body.partition("-----BEGIN PGP SIGNATURE-----")[0]
    fields = next(parse_paragraphs(body.strip()), {})
    rows = (row.split() for row in fields.get("sha256", "").splitlines())
    return fields.get("origin", ""), {row[2]: row[0] for row in rows if len(row) == 3}


def parse_sources(text: str, package: str) -> Tarball:
    """The upstream tarball of a package in a Sources index."""
    found = re.search(rf"^Package: {re.escape(package)}$", text, re.MULTILINE)
    if found is None:
        raise Failure(f"the archive's {SUITE} has no source package {package}")
    start = text.rfind("\n\n", 0, found.start()) + 1
    end = text.find("\n\n", found.end())
    fields = next(parse_paragraphs(text[start : None if end < 0 else end].strip()))
    for row in fields.get("checksums-sha256", "").splitlines():
        words = row.split()
        if len(words) == 3 and re.search(r"\.orig\.tar\.\w+$", words[2]):
            path = f"{fields['directory']}/{words[2]}"
            return Tarball(package, upstream_version(words[2]), path, words[0])
    raise Failure(f"the archive lists no upstream tarball of {package}")


def upstream_version(tarball: str) -> str:
    """`python3.13_3.13.5.orig.tar.xz` is 3.13.5."""
    return tarball.partition("_")[2].partition(".orig.tar")[0]


def has_valid_signature(status: str) -> bool:
    """Judge gpgv's status lines as apt does: one valid signature is enough, unless another one is bad."""
    words = [line.split()[1] for line in status.splitlines() if len(line.split()) > 1]
    return "VALIDSIG" in words and "BADSIG" not in words


def check_signature(release: bytes) -> None:
    """Raise if InRelease was changed. If this machine cannot check the signature, only print that."""
    gpgv = shutil.which("gpgv")
    keyrings = sorted(KEYRING_DIRECTORY.glob("debian-archive-keyring.*"))
    if gpgv is None or not keyrings:
        say("no gpgv or Debian keyring here: the archive's signature is not checked")
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(release)
        file.flush()
        done = subprocess.run(
            [gpgv, "--status-fd", "1", "--keyring", str(keyrings[0]), file.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    status = done.stdout.decode(errors="replace")
    if has_valid_signature(status):
        return
    if "BADSIG" in status or "NO_PUBKEY" not in status:
        raise Failure(f"the archive's InRelease file of {SUITE} has no valid signature")
    say(f"Debian's keyring here is too old for {SUITE}: the archive's signature is not checked")


# --- downloads ----------------------------------------------------------------------------------


def _opener() -> urllib.request.OpenerDirector:
    """Use the proxy of apt's configuration. Without one, urllib uses the proxy of the environment."""
    proxies = {}
    for scheme in ("http", "https"):
        output = capture(["apt-config", "shell", "proxy", f"Acquire::{scheme}::Proxy"]) or ""
        value = output.strip().removeprefix("proxy=").strip("'")
        if value and value != "DIRECT":
            proxies[scheme] = value
    handlers = [urllib.request.ProxyHandler(proxies)] if proxies else []
    return urllib.request.build_opener(*handlers)


class Archive:
    """The first archive of apt's configuration that has the suite."""

    def __init__(self) -> None:
        self._open = _opener().open
        self._sources: str | None = None
        uris = configured_uris()
        if not uris:
            raise Failure(f"no archive is configured in {APT}/sources.list or sources.list.d")
        problems = []
        for uri in uris:
            try:
                release = self._read(f"{uri}/dists/{SUITE}/InRelease")
            except OSError as error:
                problems.append(f"    {uri}: {error}")
                continue
            origin, self._indexes = parse_release(release.decode(errors="replace"))
            if origin != "Debian":
                problems.append(f"    {uri}: its origin is {origin or 'not stated'}")
                continue
            check_signature(release)
            self.uri = uri
            return
        raise Failure(
            f"no archive of apt's configuration has Debian {SUITE}:\n" + "\n".join(problems)
        )

    def _read(self, url: str) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._open(url, timeout=TIMEOUT) as response:
                    data: bytes = response.read()
                    return data
            except urllib.error.HTTPError:
                raise
            except OSError:
                if attempt == ATTEMPTS:
                    raise
                time.sleep(attempt)
        raise AssertionError("unreachable")

    def _index(self) -> str:
        """The text of the suite's Sources index."""
        if self._sources is None:
            for suffix, unpack in ((".xz", lzma.decompress), (".gz", _gunzip)):
                name = f"main/source/Sources{suffix}"
                if name not in self._indexes:
                    continue
                data = self._read(f"{self.uri}/dists/{SUITE}/{name}")
                if hashlib.sha256(data).hexdigest() != self._indexes[name]:
                    raise Failure(f"{self.uri}: {name} does not match its SHA256 in InRelease")
                self._sources = unpack(data).decode(errors="replace")
                break
            else:
                raise Failure(f"{self.uri}: no index of source packages")
        return self._sources

    def find(self, package: str) -> Tarball:
        try:
            return parse_sources(self._index(), package)
        except OSError as error:
            raise Failure(f"{self.uri}: {error}") from error

    def download(self, tarball: Tarball, directory: Path) -> Path:
        """Fetch a tarball, or take a verified one from an earlier run."""
        target = directory / tarball.name
        if target.is_file() and _sha256(target) == tarball.sha256:
            return target
        say(f"downloading the source of {tarball.package} {tarball.version}")
        directory.mkdir(parents=True, exist_ok=True)
        try:
            data = self._read(f"{self.uri}/{tarball.path}")
        except OSError as error:
            raise Failure(f"cannot download {tarball.name}: {error}") from error
        if hashlib.sha256(data).hexdigest() != tarball.sha256:
            raise Failure(f"{tarball.name} does not match its SHA256 in the archive's index")
        # Renamed when complete, so that a later run never uses an interrupted download.
        partial = target.with_name(target.name + ".partial")
        partial.write_bytes(data)
        partial.replace(target)
        return target


def _gunzip(data: bytes) -> bytes:
    return zlib.decompress(data, wbits=31)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
