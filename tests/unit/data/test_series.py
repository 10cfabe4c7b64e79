"""What names and clocks say of an order."""

import numpy as np

from kizu.data.series import read_series


def test_the_number_that_changes_most_counts() -> None:
    names = [f"good/exp{k % 6}_num_{1000 + 20 * k}.jpg" for k in range(40)]
    series = read_series(names)
    assert series.numbers.tolist() == [1000 + 20 * k for k in range(40)]
    assert series.are_near(3, 4)
    assert series.are_far(0, 39)
    assert not series.are_far(0, 6)


def test_near_is_what_few_pairs_are() -> None:
    names = [
        f"{number}.png"
        for number in (*range(0, 100_000, 1000), 50_001, 50_002, 50_003, 50_004, 50_005, 50_006)
    ]
    series = read_series(names)
    assert series.are_near(50, 105)
    assert not series.are_near(0, 10)


def test_odd_names_say_nothing() -> None:
    names = ["", ".png", "a.png", "ä/ü.tif", "١٢.png", "no", "x" * 300 + "9" * 400 + ".png", "😀1.png"]
    series = read_series(names)
    assert not any(series.are_near(i, j) or series.are_far(i, j) for i in range(8) for j in range(i))
    assert series.neighbours() == []


def test_numbers_that_begin_anew_in_each_folder_are_no_neighbours() -> None:
    names = [f"{part}/{k:03}.png" for part in ("train/good", "test/good") for k in range(30)]
    series = read_series(names)
    assert not series.are_near(0, 30)
    assert series.are_near(0, 1)


def test_numbers_that_go_on_in_another_folder_are() -> None:
    names = [f"train/good/{k:03}.png" for k in range(30)] + [f"test/good/{k:03}.png" for k in range(30, 40)]
    assert read_series(names).are_near(29, 30)


def test_clocks_make_an_order_and_may_repeat() -> None:
    moments = [None, 10.0, 10.0, *(1000.0 * k for k in range(2, 30))]
    series = read_series(["x.png"] * len(moments), moments)
    assert series.are_near(1, 2)
    assert not series.are_near(0, 1)
    assert series.are_far(1, len(moments) - 1)


def test_lots_are_told_by_names_unless_most_pictures_are_of_one() -> None:
    names = [f"lot{k // 5}_{k}.png" for k in range(20)]
    series = read_series(names)
    assert series.share_lot(0, 4)
    assert not series.share_lot(4, 5)
    one = read_series([f"LOT-7_{k}.png" for k in range(20)])
    assert not one.share_lot(0, 1)
    assert not read_series([f"pilot{k // 5}_a{k}.png" for k in range(20)]).share_lot(0, 1)


def test_neighbours_are_those_next_in_order() -> None:
    assert read_series(["3.png", "1.png", "2.png", "9.png"]).neighbours(1) == [(0, 2), (0, 3), (1, 2)]


def test_without_moments_there_are_none() -> None:
    assert np.isnan(read_series(["a1.png", "a2.png"]).moments).all()
