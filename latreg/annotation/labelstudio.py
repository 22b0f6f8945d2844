"""A study for Label Studio, for teams that annotate there: its tasks, its interface, and the answers that come back.

The tasks hold the pictures themselves, enlarged, so no files need to be served. Besides, they say the id alone.
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from latreg.annotation.answers import SURE, Answer, Answers
from latreg.annotation.study import Study, image_path
from latreg.data.raster import opened
from latreg.errors import LatregError
from latreg.json_files import read_json
from latreg.runs.files import replacing

TASKS, INTERFACE = "labelstudio.json", "labelstudio.xml"
SIDE = 320  # pixels that a picture is enlarged to, or a little less
KEYS = "0123456789abcdefghijklmopqrstuvwxyz"  # of the classes in order; n is for none of them
NONE, YES, NO = "none", "yes", "no"


def write_for_labelstudio(study: Study, folder: Path, output: Path) -> None:
    """Write tasks and interface.

    Args:
        study: what people are asked.
        folder: of the study, with its pictures.
        output: where tasks and interface go; it may be the same folder.

    Raises:
        LatregError: a picture cannot be read, or the output cannot be written.
    """
    data = [{"picture": item.id, "image": _data_uri(image_path(folder, item.id))} for item in study.items]
    with replacing(output / TASKS) as file:
        file.write(json.dumps([{"data": one} for one in data]).encode())
    with replacing(output / INTERFACE) as file:
        file.write(interface(study).encode())


def interface(study: Study) -> str:
    """The labeling configuration: the class or none, whether the picture is plausible, and how sure the answer is."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name="image", value="$image")
    classes = {str(number): name for number, name in enumerate(study.class_names)}
    keys = [*KEYS[: len(classes)], *[""] * (len(classes) - len(KEYS)), "n"]
    _choices(view, "class", "Which class is it?", classes | {NONE: "none of them"}, keys)
    _choices(view, "plausible", f"Could it be a picture of {study.dataset}?", {YES: "yes", NO: "no"}, ["", ""])
    ElementTree.SubElement(view, "Header", value="How sure are you? 1 guessed, 2 fairly sure, 3 sure")
    ElementTree.SubElement(view, "Rating", name="sure", toName="image", maxRating=str(SURE[-1]), required="true")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def take_answers(study: Study, folder: Path, result: Path) -> int:
    """Add the answers of a JSON export of Label Studio to those of the study, and return how many are new or changed.

    Raises:
        LatregError: the file is damaged, of another format, or has answers to other pictures.
    """
    count = 0
    for annotator, answer in list(_answers(study, result)):  # all are read before the first is taken
        answers = Answers(folder, annotator)
        if answers.read().get(answer.item) != answer:
            answers.give(answer)
            count += 1
    return count


# ---- what goes out


def _data_uri(path: Path) -> str:
    with opened(path, str(path), formats=("PNG",)) as image:
        scale = max(1, SIDE // max(image.size))
        large = image.resize((scale * image.width, scale * image.height), Image.Resampling.NEAREST)
    file = io.BytesIO()
    large.save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _choices(view: ElementTree.Element, name: str, question: str, choices: Mapping[str, str], keys: list[str]) -> None:
    """A question with one answer; what comes back are the keys of the choices, whatever the classes are called."""
    ElementTree.SubElement(view, "Header", value=question)
    control = ElementTree.SubElement(view, "Choices", name=name, toName="image", required="true", showInline="true")
    for (alias, shown), key in zip(choices.items(), keys, strict=True):
        choice = ElementTree.SubElement(control, "Choice", value=shown, alias=alias)
        if key:
            choice.set("hotkey", key)


# ---- what comes back


def _answers(study: Study, result: Path) -> Iterator[tuple[str, Answer]]:
    """Annotators with their answers, those that were skipped left out."""
    known = {item.id for item in study.items}
    try:
        for task in read_json(result):
            if (item := task["data"]["picture"]) not in known:
                raise LatregError(
                    f"expected answers to the pictures of the study in {result}, got picture {item!r:.50}"
                )
            for annotation in task["annotations"]:
                if not annotation.get("was_cancelled"):
                    yield _annotator(annotation["completed_by"]), _answer(study, item, annotation["result"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise LatregError(
            f"expected tasks with complete answers in {result}, in the format JSON of Label Studio, but "
            f"there is no {error}"
        ) from error


def _annotator(user: Any) -> str:
    """The name of the file of an annotator, whom Label Studio gives as a number, or with an address."""
    return str(user["email"]) if isinstance(user, dict) else f"labelstudio-{int(user)}"


def _answer(study: Study, item: str, result: list[dict[str, Any]]) -> Answer:
    said = {one["from_name"]: one["value"] for one in result}
    (named,), (plausible,) = said["class"]["choices"], said["plausible"]["choices"]
    number, sure = None if named == NONE else int(named), said["sure"]["rating"]
    if number is not None and not 0 <= number < len(study.class_names):
        raise ValueError(f"class {number} in the study")
    if sure not in SURE:
        raise ValueError(f"certainty {sure!r:.50}")
    return Answer(item, number, {YES: True, NO: False}[plausible], int(sure))
