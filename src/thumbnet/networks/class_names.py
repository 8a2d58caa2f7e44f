"""Whose classes a classifier's outputs stand for: the teacher's names, the data's, and a class map brought together."""

from collections.abc import Sequence

from thumbnet.errors import NetworkError

SHOWN = 4


def agreed_classes(
    data: tuple[str, ...], outputs: int, known: Sequence[tuple[str, ...]], *, trained: bool, mapped: bool
) -> tuple[tuple[str, ...], str | None]:
    """Names of a teacher's outputs, in their order, and what to warn about.

    Args:
        data: The data's classes, or those of the class map; empty where the data has no labels.
        outputs: How many the teacher has.
        known: The teacher's own names, where its file or its makers give any; each is another way to name all outputs.
        trained: Whether these names come with the weights, and so must be the data's.
        mapped: Whether the user gave a class map.

    Raises:
        NetworkError: If the data's classes cannot be the teacher's.
    """
    usable = [labels for labels in known if len(labels) == outputs and len(set(labels)) == outputs]
    if mapped and len(data) != outputs:
        problem = f"class_map: it names {len(data)} classes, the teacher gives {outputs}"
        raise NetworkError(f"{problem}; give one line for each output, in their order, or leave --class-map out")
    own = next((labels for labels in usable if set(data) <= set(labels)), None)
    if own is not None and mapped and own != data and set(own) == set(data):
        place = next(i for i in range(outputs) if own[i] != data[i])
        told = f"output {place} is '{data[place]}' in the class map and '{own[place]}' in the teacher"
        raise NetworkError(f"class_map: {told}; bring its lines into the teacher's order, or leave --class-map out")
    if own is not None:
        return own, None
    if not data:
        raise NetworkError("teacher: the names of its outputs are not known; give them with --class-map")
    if len(data) != outputs:
        problem = f"teacher gives {outputs} classes, the data has {len(data)} ({', '.join(data[:3])}, …)"
        fine_tune = "fine-tune it first with `thumbnet train-teacher`, then give its teacher.safetensors"
        raise NetworkError(f"{problem}; {fine_tune} as --teacher-weights, or name its outputs with --class-map")
    if not usable or mapped:
        return data, None
    differing = f"the teacher's classes are {_shown(usable[0])}, the data's {_shown(data)}"
    if trained or any(set(data) & set(labels) for labels in usable):
        advice = "name the data's classes as the teacher was trained with, give --class-map, or train it anew"
        raise NetworkError(f"{differing}; {advice}")
    return data, f"{differing}: taken to be the same in this order; --class-map says so without this warning"


def check_same_classes(teacher: tuple[str, ...], bundle: tuple[str, ...]) -> None:
    """Makes sure that a teacher's outputs and a bundle's stand for the same classes.

    Raises:
        NetworkError: If they do not.
    """
    if teacher != bundle:
        raise NetworkError(f"the teacher's classes are {_shown(teacher)}, the bundle's {_shown(bundle)}")


def _shown(names: tuple[str, ...]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
