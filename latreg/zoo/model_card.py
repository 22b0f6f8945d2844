"""The README.md of a weights file on the Hugging Face hub, from the file's description and the card beside it."""

import json
from collections.abc import Mapping
from typing import Any

USED_BY = {  # kind of network => the setting that names its weights
    "classifier": "classifier.weights",
    "generator": "generator.weights",
    "vae": "validity.vae",
    "density": "validity.density",
}
INTERVAL = "_ci95"  # ends the name of a score's 95 % interval


def model_card(name: str, kind: str, card: Mapping[str, Any], digest: str) -> str:
    """What the weights are, how they are used, and everything that their card says.

    Args:
        name: of the file, without its suffix.
        kind: of network.
        card: beside the file; {} = there is none.
        digest: sha256 of the file.
    """
    groups = {key: value for key, value in card.items() if isinstance(value, dict) and value}
    alone = {key: value for key, value in card.items() if key not in groups}
    lines = [
        *("---", f"tags: {json.dumps(['latreg', kind])}", "---", f"# {name}", ""),
        f"A {kind} for latreg{', data set ' + str(card['dataset']) if 'dataset' in card else ''}. In a search:",
        "",
        "```sh",
        f"python -m latreg.run +experiment=<one of its data set> {USED_BY[kind]}={name}.safetensors",
        "```",
        "",
        *_rows(alone | {"sha256": digest}),
    ]
    for key, group in groups.items():
        lines += ["", f"## {key.replace('_', ' ').capitalize()}", "", *_rows(group)]
    return "\n".join([*lines, ""])


def _rows(values: Mapping[str, Any]) -> list[str]:
    shown = {key: value for key, value in values.items() if not key.endswith(INTERVAL)}
    rows = [f"| {key.replace('_', ' ')} | {_cell(value, values.get(key + INTERVAL))} |" for key, value in shown.items()]
    return ["| | |", "|---|---|", *rows]


def _cell(value: Any, interval: Any) -> str:
    text = _number(value) if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
    if isinstance(interval, list) and len(interval) == 2:
        text += f" ({_number(interval[0])} to {_number(interval[1])})"
    return text.replace("|", "&#124;").replace("\n", " ")


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
