"""The benchmarks compare before they measure, and count the least work of a job as one would by hand."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from benchmarks import machine, models, processes, report, sampling, self_evaluation_inference, stage1_task_tuning
from benchmarks import stage2_beam_search as stage2
from benchmarks import stage3_self_evaluation as stage3
from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.machine import Limits, Size
from benchmarks.measure import PEER_ONCE, MismatchError, Row, compare
from benchmarks.memory import Used
from benchmarks.models import SOMETIMES, prompts, subject, tokenizer

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Probing takes longer than tiny models do."""
    monkeypatch.setattr(machine, "probe", lambda _: Limits(flops=3e11, read_bytes=3e10))


@pytest.mark.parametrize("ends", [False, True])
def test_beam_search_row_follows_a_comparison(ends: bool) -> None:
    row = stage2.row("opt-tiny", stage2.Case(positions=(90, 70), num_beams=3, new_tokens=6, ends=ends), rounds=1)
    assert row.ours_s > 0
    assert row.peer_s > 0
    assert row.floor_s is not None
    assert 0 < row.floor_s < row.ours_s


def test_other_answers_or_scores_are_refused() -> None:
    answers = [[((5, 6), -1.0), ((5, 7), -2.0)]]
    stage2.check_scores(answers, [[((5, 6), -1.00005), ((5, 7), -2.0)]])
    with pytest.raises(MismatchError, match="sequences of question 0"):
        stage2.check_sequences(answers, [[((5, 7), -2.0), ((5, 6), -1.0)]])
    with pytest.raises(MismatchError, match="scores of question 0"):
        stage2.check_scores(answers, [[((5, 6), -1.001), ((5, 7), -2.0)]])
    with pytest.raises(MismatchError, match="scores of question 0"):
        stage2.check_scores(answers, [[((5, 6), float("nan")), ((5, 7), -2.0)]])


def test_exact_scores_are_those_that_beam_search_gives() -> None:
    case = stage2.Case(positions=(90,), num_beams=3, new_tokens=6)
    both = subject("opt-tiny")
    ours = stage2.ours(both, case)
    stage2.check_scores(ours, [stage2.exact_scores(both, case, ours[0])])


def test_refused_results_are_never_timed() -> None:
    calls: list[str] = []

    def refuse(ours: object, theirs: object) -> None:
        raise MismatchError("different")

    with pytest.raises(MismatchError):
        compare(
            lambda: calls.append("ours"), lambda: calls.append("peer"), refuse, rounds=3, device=torch.device("cpu")
        )
    assert calls == ["ours", "peer"]


def test_both_sides_of_stage_3_agree_and_a_wrong_gradient_is_refused() -> None:
    both, case = subject("opt-tiny"), stage3.Case(positions=80, answers=(2, 3, 5))
    ours, theirs = stage3.ours(both, case), stage3.peer(both, case)
    stage3.check(ours, theirs)
    with pytest.raises(MismatchError, match="gradient"):
        stage3.check((ours[0], 1.01 * ours[1]), theirs)


@pytest.mark.slow
def test_stage_1_inference_and_sampling_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.memory.both_sides", lambda *_: None)
    row = stage1_task_tuning.row("opt-tiny", stage1_task_tuning.Case((90, 80, 70)), rounds=PEER_ONCE)
    assert row.memory is None
    for module in (self_evaluation_inference, sampling):
        monkeypatch.setattr(module, "PROMPT", 80)
    new_pass, greedy = self_evaluation_inference.rows_of("opt-tiny", rounds=1)
    assert new_pass.ours_s == greedy.ours_s
    assert sampling.row("opt-tiny", 4, rounds=1).ratio > 0


def test_peers_run_modules_that_a_backbone_never_touched() -> None:
    models._our_modules.cache_clear()  # decoding has put other weights in the place of earlier ones
    both = subject("opt-tiny")
    ours = both.ours.backbone.model
    assert {type(module).__module__.split(".")[0] for module in both.plain.modules()} == {"torch", "transformers"}
    assert all(a is not b for a, b in zip(ours.modules(), both.plain.modules(), strict=True))
    assert all(a is b for a, b in zip(ours.parameters(), both.plain.parameters(), strict=True))


def test_prompt_lengths_count_soft_tokens() -> None:
    both = subject("opt-tiny")
    assert len(both.sequence(prompts(both.plain, [77])[0])) == 77


def test_words_survive_the_tokenizer() -> None:
    words = tokenizer(500, SOMETIMES)
    assert words("Q: w17 w499 correct")["input_ids"] == [3, 17, 499, 5]
    assert words.decode([17, 499, 2], skip_special_tokens=True) == "w17 w499"


def test_limits_by_hand() -> None:
    size = Size(weights=100, head=10, query_width=4, cache_width=8, layers=2, width=3)
    limits = Limits(flops=1.0, read_bytes=1e9)
    # Two prompts of 3 and 2: 2·100·5 in the layers, 2·4·(9 + 4) in attention, 2·10·2 in the output matrix.
    assert machine.prefill_seconds(size, limits, [3, 2]) == 1000 + 104 + 40
    # Step 1 has both questions (contexts 4 and 3), step 2 the first alone (context 5); 2 beams each.
    first, second = 2 * 4 * 110 + 4 * 2 * 7 * 4, 2 * 2 * 110 + 4 * 2 * 5 * 4
    assert machine.decode_seconds(size, limits, [3, 2], [3, 2], beams=2) == first + second
    # Where reading is what takes time: weights, output matrix and the cache, 4 bytes each.
    slow = Limits(flops=1e9, read_bytes=1.0)
    assert machine.decode_seconds(size, slow, [3], [2], beams=2) == 4 * (100 + 10 + 4 * 8)
    # Answers of 1 and 2 after a prompt of 3. Keys and values need one layer whole, 50, and 3·8/2 numbers of the last.
    assert size.prefix_weights == 50 + 12
    prefix = 2 * 62 * (3 + 3) + 2 * 3 * 3 * 2 + 4 * 3 * 3 * 2
    # Then 5 soft tokens forward and backward on each.
    verdicts = 2 * (2 * 100 * 10 + 4 * 10 * 3 * 4) + 4 * 10 * 2
    assert machine.verdict_step_seconds(size, limits, 3, [1, 2], soft_tokens=5) == prefix + verdicts


def test_size_counts_linear_layers() -> None:
    model = subject("opt-tiny").plain
    # OPT: 4 products of d², 2 of 4·d² a layer; the output matrix is the embedding.
    assert machine.size(model) == Size(
        weights=2 * 12 * 32 * 32, head=500 * 32, query_width=64, cache_width=128, layers=2, width=32
    )


def test_results_name_what_is_missed(tmp_path: Path) -> None:
    rows = [
        Row("a", "peer", "s", 1.0, 5.0, target=4.0, memory=(Used(10, 0), Used(40, 0)), memory_target=8.0),
        Row("b", "peer", "s", 1.0, 2.0, target=4.0, floor_s=0.5, limit_target=0.4),
    ]
    report.write(
        tmp_path,
        rows,
        {"a": stage2, "b": stage3},
        {"c": "sequences differ"},
        machine.describe(torch.device("cpu")),
        Limits(3e11, 2.6e10),
    )
    content = json.loads((tmp_path / "results.json").read_text())
    assert [row["misses"] for row in content["rows"]] == [["memory"], ["time"]]
    assert content["rows"][0] | {"ratio": 5.0, "memory_ratio": 4.0, "fraction_of_limit": None} == content["rows"][0]
    assert content["rows"][1]["fraction_of_limit"] == 0.5
    page = (tmp_path / "RESULTS.md").read_text()
    assert "Rows with a target: 2, all met: 0." in page
    assert "**refused**: c: sequences differ" in page


def test_other_paths_of_an_earlier_run_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = (Used(10, 2), Used(40, 0))
    first = Row("stage3_self_evaluation", "peer", "s", 1.0, 5.0, 4.0, 0.5, 0.4, used, 8.0, measured="2026-01-01 00:00")
    again = Row("stage3_self_evaluation", "peer", "s", 1.0, 6.0, group="other")
    beams = Row("stage2_beam_search", "peer", "s", 2.0, 3.0)

    def measure(*rows: Row) -> list[Row]:
        monkeypatch.setitem(BENCHMARKS, rows[0].path, SimpleNamespace(rows=lambda _: rows, __doc__="What it is."))
        assert main(["--only", rows[0].path, "--output", str(tmp_path)]) == 0
        return report.read(tmp_path, machine.describe(torch.device("cpu")))

    assert measure(first) == [first]
    assert measure(beams) == [beams, first]
    assert measure(again) == [beams, again]
    assert "2026-01-01 00:00" not in (tmp_path / "RESULTS.md").read_text()
    assert report.read(tmp_path, {**machine.describe(torch.device("cpu")), "threads": 99}) == []


def test_unknown_path_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "stage9"]) == 2
    assert "no benchmark stage9" in capsys.readouterr().err
    assert main(["--questions", "3"]) == 2
    assert "--questions is 3; the pipeline needs 4" in capsys.readouterr().err


def test_several_processes_must_find_what_one_does() -> None:
    one = processes.decode("opt-tiny", (90, 60, 75, 82, 66))
    assert len(one["answers"]) == 5
    assert one["seconds"] > 0
    processes.check(one, one)
    other = json.loads(json.dumps(one))
    other["answers"][3][0][1] += 1e-3
    with pytest.raises(MismatchError, match="scores of question 3"):
        processes.check(one, other)
