"""Labels that do not overlap."""

from itertools import combinations

from aspire_llm.report.figures.placing import Box, place_labels

FRAME = Box(0, 0, 300, 200)


def test_a_lone_label_stands_right_beside_its_point() -> None:
    (box,) = place_labels([(50, 50)], [(40, 10)], [], FRAME)
    assert box == Box(57, 45, 97, 55)


def test_at_the_right_edge_it_stands_on_the_left() -> None:
    (box,) = place_labels([(290, 50)], [(40, 10)], [], FRAME)
    assert box == Box(243, 45, 283, 55)


def test_many_labels_of_one_spot_overlap_neither_each_other_nor_any_point() -> None:
    points = [(20.0, 100.0 + i) for i in range(12)] + [(200.0, 100.0)]
    markers = [Box(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    boxes = place_labels(points, [(70.0, 11.0)] * len(points), markers, FRAME)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    assert not any(box.overlaps(marker) for box in boxes for marker in markers)
    assert all(box.within(FRAME) for box in boxes)


def test_touching_is_no_overlap() -> None:
    assert not Box(0, 0, 1, 1).overlaps(Box(1, 0, 2, 1))
    assert Box(0, 0, 1, 1).overlaps(Box(0.9, 0.9, 2, 2))
