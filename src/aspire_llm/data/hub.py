"""Data sets of the Hugging Face hub, by the names they go by here or as ``hf:OWNER/NAME[:CONFIG[:SPLIT]]``."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aspire_llm.data.arrow_rows import NOT_IN_PYTHON, arrow_records
from aspire_llm.data.problems import Problem
from aspire_llm.data.rows import Row
from aspire_llm.errors import first_line

HUB_NAMES = {
    "coqa": "hf:stanfordnlp/coqa",
    "squad": "hf:rajpurkar/squad",
    "squad_v2": "hf:rajpurkar/squad_v2",
    # The configurations "rc…" list a question once for its web and once for its Wikipedia evidence; this one does not.
    "triviaqa": "hf:mandarjoshi/trivia_qa:unfiltered.nocontext",
    "nq_open": "hf:google-research-datasets/nq_open",
}
_WORD = r"[\w.-]+"
_ADDRESS = re.compile(rf"(?P<address>hf:(?P<name>{_WORD}/{_WORD})(?::(?P<config>{_WORD})?)?)(?::(?P<split>{_WORD}))?")


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
        for number, record in enumerate(_records(dataset), 1):
            yield Row(number, record)


def _records(dataset: Any) -> Iterator[dict[str, Any]]:
    """The rows of a data set, read in parts as long as all of their values have a counterpart in Python."""
    done = 0
    try:
        for record in dataset:
            yield record
            done += 1
    except NOT_IN_PYTHON:
        for place in range(done, len(dataset)):
            try:
                yield dataset[place]
            except NOT_IN_PYTHON:
                yield from arrow_records(dataset.with_format("arrow")[place])


def find_hub_dataset(source: str, split: str | None = None) -> HubDataset | Problem | None:
    """The hub data set that `source` names; None where it names none, a problem where it tries to.

    The split is ``train`` where neither the name nor `split` says which.
    """
    name, _, own_split = source.partition(":")
    address = HUB_NAMES.get(name)
    if address is None and name != "hf":
        return None
    match = _ADDRESS.fullmatch(address or source)
    if match is None or (address and own_split and not re.fullmatch(_WORD, own_split)):
        return Problem(source, None, "expected hf:OWNER/NAME[:CONFIG[:SPLIT]], CONFIG may be empty, or NAME[:SPLIT]")
    named = (own_split if address else match["split"]) or None
    if named and split and named != split:
        return Problem(source, None, f"names the split '{named}', and '{split}' was asked for; name one of them")
    return HubDataset(match["address"].rstrip(":"), match["name"], match["config"], named or split or "train")
