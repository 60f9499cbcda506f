"""What is asked of the processes that work on a command, and the answers of one process by itself."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from torch import Tensor

Sharding: TypeAlias = Literal["tensor", "fsdp"]
Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes:
    """One process by itself, and what all commands ask of the processes that work on them.

    Attributes:
        index: The number of this one.
        count: How many there are.
        shares: Among how many of them batches are shared out.
        sharding: How they have split one model among them; None where each has a whole one.
    """

    index, count, shares = 0, 1, 1
    sharding: Sharding | None = None

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.index == 0

    def once(self, work: Callable[[], Result]) -> Result:
        """Have the main process do something while the others wait; what it returns, for all of them.

        Raises:
            ProcessLostError: It failed in the main process, which raises what it failed with.
        """
        return work()

    def wait(self) -> None:
        """Until all processes are here."""

    def share(
        self, items: Sequence[Item], compute: Callable[[Item], Result], *, main_only: bool = False
    ) -> list[Result]:
        """The results of all items in their order; each is computed by one process that is free.

        Several processes begin with the last items: where these take longest, the short ones fill the gaps in the end.

        Args:
            items: Of which all processes have the same.
            compute: The result of one.
            main_only: The main process gets the results, and the others none; else all get them.
        """
        return list(map(compute, items))

    def stripe(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of the items."""
        return items

    def gather(self, rows: "Tensor") -> "Tensor":
        """The rows that all processes have, in main memory, in the order of the processes."""
        return rows

    def add_up(self, tensors: "Sequence[Tensor]") -> None:
        """Put the sum over the processes in the place of each tensor."""

    def agree(self, tensors: "Sequence[Tensor]") -> None:
        """Where a model is split, put what the main process has in the place of each tensor."""

    def least(self, number: int) -> int:
        """Where a model is split, the least that any process has of something, for all of them."""
        return number
