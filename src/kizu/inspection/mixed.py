"""`report.json` where several models inspected pictures of several products."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from kizu.core.text import one_line
from kizu.inspection.report import UTC_TIME, Count, Outcome, Rate, Report, ReportPassedOver, told_unread
from kizu.inspection.written import Listed, MayBeAbsent, Written


class MixedReport(Written):
    """All of it. Scores of two models cannot be compared, so nothing is said of all scores together."""

    products: dict[str, Report] = Field(
        description="by product, what its pictures add up to: as the report of an inspection of them alone, but for"
        " what could not be told apart by product"
    )
    num_images: Count = Field(description="images that were judged, of all products: OK and NG")
    num_ok: Count = Field(description="images without a flaw")
    num_ng: Count = Field(description="images with one")
    num_unknown: Count = Field(
        description="images that show none of these products: nobody judged them, and they are neither OK nor NG"
    )
    num_errors: Count = Field(description="images that could not be inspected")
    ng_rate: Rate = Field(description="num_ng / num_images; 0 without images")
    ok_rate: Rate = Field(description="num_ok / num_images; 0 without images")
    passed_over: MayBeAbsent[Listed[tuple[ReportPassedOver, ...]]] = Field(
        default=None, description="what the folder holds besides, by reason; not there where it is nothing"
    )
    created_at: Annotated[str, Field(pattern=UTC_TIME)] = Field(description="when it was written, UTC")
    outcomes: dict[Outcome, Count] = Field(description="how many images came to which outcome")
    num_superseded: Count = Field(description="lines that count no more: their picture was judged again")

    @property
    def num_more_pages(self) -> int:
        """Judged images whose files hold further pages."""
        return sum(report.num_more_pages or 0 for report in self.products.values())

    @property
    def num_beyond_scale(self) -> int:
        """Judged images with numbers beyond the scale of their model."""
        return sum(report.num_beyond_scale or 0 for report in self.products.values())

    @property
    def num_unread(self) -> int:
        """As that of a `Report`."""
        return told_unread(self.passed_over)

    def told(self) -> str:
        """A line for a person, and one for each product."""
        unread = f", {self.num_unread} in other formats passed over" if self.num_unread else ""
        total = (
            f"{self.num_images} images: {self.num_ok} OK, {self.num_ng} NG, {self.num_unknown} of no known product,"
            f" {self.num_errors} not inspected{unread}"
        )
        return "\n".join(
            [total, *(f"{one_line(name)}: {report.told()}" for name, report in self.products.items())]
        )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.num_ok + self.num_ng != self.num_images:
            raise ValueError(f"{self.num_ok} OK and {self.num_ng} NG are not {self.num_images} images")
        if sum(report.num_images for report in self.products.values()) != self.num_images:
            raise ValueError(f"the products' images are not {self.num_images} together")
        return self
