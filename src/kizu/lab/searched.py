"""What a search found out, which pipeline to take, and whether that is more than chance."""

from collections.abc import Mapping
from dataclasses import dataclass

from kizu.lab.budget import Budget
from kizu.lab.judged import LEVEL, Difference, compare
from kizu.lab.shared_look import Seen


@dataclass(frozen=True, slots=True)
class Searched:
    """All that was found out."""

    count: int
    """Good pictures"""
    fitted: int
    """Good pictures that the finalists were fitted on"""
    judged_by: int
    """Good pictures that judged them"""
    flaws: int
    """painted into these"""
    finalists: tuple[Seen, ...]
    """The best first; the default is among them."""
    default: Seen
    budget: Budget
    tried: tuple[int, ...]
    """Contenders of each round"""
    beyond: Mapping[str, str]
    """What was dropped for its cost, and which"""
    not_tried: int
    """Contenders that there was no time for"""
    left_out: Mapping[str, str]
    """Backbones that are not installed"""
    seconds: float

    @property
    def within(self) -> list[Seen]:
        """Finalists within the budget."""
        return [one for one in self.finalists if not self.exceeds(one)]

    def exceeds(self, one: Seen) -> tuple[str, ...]:
        """What of the budget a finalist breaks, in words."""
        return exceeds(one, self.budget)

    def against(self, one: Seen, other: Seen) -> Difference:
        """How much more one of the finalists sees; the level is shared by all that could have been best."""
        return compare(one.judged, other.judged, level=LEVEL / max(1, len(self.finalists) - 1))

    @property
    def winner(self) -> Seen | None:
        """The best within the budget where it beats the default by more than chance; else the default, where that is
        within. None: nothing fits the budget."""
        best = next(iter(self.within), None)
        if best is None or self.exceeds(self.default) or best is self.default:
            return best
        return best if self.against(best, self.default).low > 0 else self.default

    @property
    def runner_up(self) -> Seen | None:
        """The best one within the budget that is not the winner."""
        return next((one for one in self.within if one is not self.winner), None)

    @property
    def reason(self) -> str:
        """Of the choice, in words."""
        winner = self.winner
        if winner is None:
            return "nothing that was tried fits the budget"
        best = self.within[0]
        if best is not winner:
            off = self.against(best, winner)
            return (
                f"the default stays: {best.contender.name} sees {off.mean:+.3f} more AUROC of painted flaws, which is"
                f" no more than chance ({off.low:+.3f} to {off.high:+.3f})"
            )
        if winner is self.default:
            return "the default sees most of the painted flaws of all within the budget"
        if self.exceeds(self.default):
            return f"{winner.contender.name} sees most of the painted flaws within the budget, which the default breaks"
        off = self.against(winner, self.default)
        return (
            f"{winner.contender.name} sees {off.mean:+.3f} more AUROC of painted flaws than the default, which is more"
            f" than chance ({off.low:+.3f} to {off.high:+.3f})"
        )


def exceeds(one: Seen, budget: Budget, slack: float = 1.0) -> tuple[str, ...]:
    """What of a budget it breaks, in words; a latency only beyond `slack` times."""
    return (*budget.over_latency(one.latency_ms, slack), *budget.over_memory(one.memory_bytes))
