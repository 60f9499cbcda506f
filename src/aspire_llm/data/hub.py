"""Data sets of the Hugging Face hub, by the names they go by here or as ``hf:OWNER/NAME[:CONFIG]``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from aspire_llm.data.files import Row, first_line
from aspire_llm.data.problems import Problem

HUB_NAMES = {
    "coqa": "hf:stanfordnlp/coqa",
    "squad": "hf:rajpurkar/squad",
    "squad_v2": "hf:rajpurkar/squad_v2",
    # The configurations "rc…" list a question once for its web and once for its Wikipedia evidence; this one does not.
    "triviaqa": "hf:mandarjoshi/trivia_qa:unfiltered.nocontext",
    "nq_open": "hf:google-research-datasets/nq_open",
}
_ADDRESS = re.compile(r"hf:(?P<name>[\w.-]+/[\w.-]+)(?::(?P<config>[\w.-]+))?")


@dataclass(frozen=True, slots=True)
class HubDataset:
    """One split of one configuration of a data set on the hub."""

    address: str
    name: str
    config: str | None
    split: str

    def __str__(self) -> str:
        return f"{self.address} ({self.split})"

    def rows(self) -> Iterator[Row | Problem]:
        """The rows, which `datasets` downloads once and then reads from its cache."""
        import datasets

        try:
            dataset = datasets.load_dataset(self.name, self.config, split=self.split)
        except Exception as error:  # the hub, the network, the cache and the files each raise errors of their own
            advice = "check the name, the configuration, the split and the network, or name a local file"
            yield Problem(str(self), None, f"cannot be loaded: {first_line(error)}; {advice}")
            return
        for number, record in enumerate(dataset, 1):
            yield Row(number, record)


def find_hub_dataset(source: str, split: str | None) -> HubDataset | Problem | None:
    """The hub data set that `source` names; None where it names none, a problem where it tries to.

    The split is ``train`` where none is asked for.
    """
    address = HUB_NAMES.get(source, source)
    if not address.startswith("hf:"):
        return None
    match = _ADDRESS.fullmatch(address)
    if match is None:
        return Problem(source, None, "expected hf:OWNER/NAME or hf:OWNER/NAME:CONFIG")
    return HubDataset(address, match["name"], match["config"], split or "train")
