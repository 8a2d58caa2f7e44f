"""The data's classes and the teacher's: the same, some of them, in another order, unknown, or wrong."""

import pytest

from thumbnet.errors import NetworkError
from thumbnet.networks.class_names import agreed_classes

PETS = ("cat", "dog", "fish")
Names = tuple[str, ...]


def agreed(
    data: Names, known: tuple[Names, ...] = (), trained: bool = False, mapped: bool = False
) -> tuple[Names, str | None]:
    return agreed_classes(data, 3, known, trained=trained, mapped=mapped)


def problem(data: Names, known: tuple[Names, ...] = (), trained: bool = False, mapped: bool = False) -> str:
    with pytest.raises(NetworkError) as caught:
        agreed(data, known, trained, mapped)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("data", [PETS, ("fish", "cat", "dog"), ("dog",), ()])
@pytest.mark.parametrize("trained", [True, False])
def test_the_teachers_names_win_where_they_hold_all_of_the_datas(data: Names, trained: bool) -> None:
    assert agreed(data, (PETS,), trained) == (PETS, None)


def test_any_of_several_ways_to_name_the_outputs_will_do() -> None:
    assert agreed(("n2",), (PETS, ("n1", "n2", "n3"))) == (("n1", "n2", "n3"), None)


def test_a_teacher_that_names_nothing_takes_the_datas_names() -> None:
    assert agreed(PETS) == (PETS, None)
    assert agreed(PETS, (("cat", "cat", "dog"), ("cat", "dog"))) == (PETS, None), "no names, or not of all outputs"


def test_another_number_of_classes_is_refused() -> None:
    assert problem(("cat", "dog")).startswith("teacher gives 3 classes, the data has 2 (cat, dog, …); fine-tune it")


def test_names_that_come_with_the_weights_must_be_the_datas() -> None:
    message = problem(("a", "b", "c"), (PETS,), trained=True)
    assert message.startswith("the teacher's classes are cat, dog, fish, the data's a, b, c; name the data's classes")


def test_makers_names_that_are_partly_the_datas_are_refused_and_wholly_others_warned_about() -> None:
    assert "the data's cat, dog, horse" in problem(("cat", "dog", "horse"), (PETS,))
    classes, warning = agreed(("n1", "n2", "n3"), (PETS,))
    assert classes == ("n1", "n2", "n3")
    assert warning is not None
    assert "taken to be the same in this order" in warning


def test_a_class_map_names_the_outputs_and_may_not_contradict_the_teacher() -> None:
    assert agreed(("n1", "n2", "n3"), (PETS,), mapped=True) == (("n1", "n2", "n3"), None)
    assert agreed(PETS, (PETS,), mapped=True) == (PETS, None)
    message = problem(("dog", "cat", "fish"), (PETS,), mapped=True)
    assert message.startswith("class_map: output 0 is 'dog' in the class map and 'cat' in the teacher")


@pytest.mark.parametrize("names", [("cat", "dog"), ("cat", "dog", "fish", "horse")])
def test_a_class_map_names_every_output(names: Names) -> None:
    message = problem(names, (PETS,), mapped=True)
    assert message.startswith(f"class_map: it names {len(names)} classes, the teacher gives 3; give one line for each")


def test_data_without_labels_needs_the_names_from_somewhere() -> None:
    assert problem(()).startswith("teacher: the names of its outputs are not known; give them with --class-map")
