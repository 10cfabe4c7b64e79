"""Data sets that others publish: where they are had, under which licence, and how their folders are read.

An address stands here only where the publisher gives it out without a form. Of the others the page is told, and an
archive that somebody got there is checked and unpacked like one that was fetched. No publisher gives a hash: those here
are what independent users of an archive report alike; without one, what comes first is kept in mind.
"""

from collections.abc import Mapping
from dataclasses import dataclass

BY_NC_SA = "CC BY-NC-SA 4.0: not for commercial use (https://creativecommons.org/licenses/by-nc-sa/4.0/)"
BY = "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)"
AS_ITS_PAGE_SAYS = "as its page says; others report CC BY-NC-SA 4.0, not for commercial use"


@dataclass(frozen=True, slots=True)
class Published:
    """One data set."""

    title: str
    layout: str
    """Its name in `LAYOUTS`."""
    licence: str
    page: str
    """Where its publisher describes it."""
    archive: str | None
    """The archive's file name; None: it comes in several."""
    url: str | None = None
    """None: only by way of the page."""
    sha256: str | None = None
    size: int | None = None
    """Bytes of the archive."""


_MVTEC = "https://www.mvtec.com/company/research/datasets"

PUBLISHED: Mapping[str, Published] = {
    "mvtec_ad": Published(
        title="MVTec AD: 15 objects and textures",
        layout="mvtec_ad",
        licence=BY_NC_SA,
        page=f"{_MVTEC}/mvtec-ad",
        archive="mvtec_anomaly_detection.tar.xz",
        sha256="cf4313b13603bec67abb49ca959488f7eedce2a9f7795ec54446c649ac98cd3d",
    ),
    "mvtec_ad2": Published(
        title="MVTec AD 2: 8 objects in changing light, with private test images",
        layout="mvtec_ad2",
        licence=BY_NC_SA,
        page=f"{_MVTEC}/mvtec-ad-2",
        archive="mvtec_ad_2.tar.gz",
        sha256="c0ded99ef32bfc8e352d52beb44515e5b292b8598cb963aadfa91ca0763505e4",
    ),
    "mvtec_loco": Published(
        title="MVTec LOCO AD: logical and structural anomalies of 5 objects",
        layout="mvtec_loco",
        licence=BY_NC_SA,
        page=f"{_MVTEC}/mvtec-loco",
        archive="mvtec_loco_anomaly_detection.tar.xz",
        sha256="9e7c84dba550fd2e59d8e9e231c929c45ba737b6b6a6d3814100f54d63aae687",
    ),
    "visa": Published(
        title="VisA: 12 objects",
        layout="visa",
        licence=BY,
        page="https://github.com/amazon-science/spot-diff",
        archive="VisA_20220922.tar",
        url="https://amazon-visual-anomaly.s3.us-west-2.amazonaws.com/VisA_20220922.tar",
        sha256="2eb8690c803ab37de0324772964100169ec8ba1fa3f7e94291c9ca673f40f362",
        size=1_929_840_640,
    ),
    "btad": Published(
        title="BTAD: 3 industrial products",
        layout="btad",
        licence=AS_ITS_PAGE_SAYS,
        page="https://github.com/pankajmishra000/VT-ADL",
        archive="btad.zip",
        url="https://avires.dimi.uniud.it/papers/btad/btad.zip",
        sha256="461c9387e515bfed41ecaae07c50cf6b10def647b36c9e31d239ab2736b10d2a",
    ),
    "mpdd": Published(
        title="MPDD: 6 kinds of metal parts",
        layout="mpdd",
        licence=AS_ITS_PAGE_SAYS,
        page="https://github.com/stepanje/MPDD",
        archive="MPDD.zip",
    ),
    "kolektorsdd2": Published(
        title="KolektorSDD2: one surface, with small defects",
        layout="kolektor",
        licence=BY_NC_SA,
        page="https://www.vicos.si/resources/kolektorsdd2/",
        archive="KolektorSDD2.zip",
        url="https://go.vicos.si/kolektorsdd2",
        size=853_126_555,
    ),
    "kolektorsdd": Published(
        title="KolektorSDD: 50 commutators in 8 views",
        layout="kolektor",
        licence=BY_NC_SA,
        page="https://www.vicos.si/resources/kolektorsdd/",
        archive="KolektorSDD.zip",
        url="https://go.vicos.si/kolektorsdd",
        sha256="65dc621693418585de9c4467d1340ea7958a6181816f0dc2883a1e8b61f9d4dc",
    ),
    "real_iad": Published(
        title="Real-IAD: 30 objects in 5 views, on request",
        layout="real_iad",
        licence=AS_ITS_PAGE_SAYS,
        page="https://huggingface.co/datasets/REAL-IAD/Real-IAD",
        archive=None,
    ),
}
