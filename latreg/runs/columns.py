"""From the fields of a dataclass to the columns of a parquet file that Hugging Face `datasets` opens as it is.

A column of nothing but None keeps its type, which comes from the annotation. Images are PNG bytes.
"""

import json
import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from latreg.interfaces import Columns

Annotations = Mapping[str, Any]  # types by the names of columns

VERSION = 4  # of the columns; count up when they change
VERSION_KEY = b"latreg_records_version"
FEATURES_KEY = b"huggingface"
CLASSES = ("label", "source_predicted", "predicted", "rival", "severe_predicted")  # columns of a class's number
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])  # the layout of datasets.Image

_SCALARS: dict[Any, tuple[pa.DataType, str]] = {
    bool: (pa.bool_(), "bool"),
    int: (pa.int64(), "int64"),
    float: (pa.float64(), "float64"),
    str: (pa.string(), "string"),
}
KINDS = {kind: python for python, (kind, _) in _SCALARS.items() if python is not str}  # that gates can measure


def annotations_of(row: type[Any], *others: str) -> Annotations:
    """The fields of a dataclass with their types, but for those others that are no columns of a file."""
    return {name: of for name, of in get_type_hints(row).items() if name not in others}


def optional(measured: Columns, before: str = "") -> Annotations:
    """What gates measure, or None, with some letters before each name."""
    return {before + name: kind | None for name, kind in measured.items()}


def images_in(annotations: Annotations) -> list[str]:
    """The columns that hold images."""
    return [name for name, annotation in annotations.items() if _strip_none(annotation)[0] is np.ndarray]


def schema(annotations: Annotations, version: int = VERSION, class_names: Sequence[str] = ()) -> pa.Schema:
    """Columns of these types, with the metadata by which `datasets` and latreg know them.

    Args:
        annotations: names and types.
        version: of the columns.
        class_names: by which `datasets` shows the numbers of classes; none in older records.
    """
    fields, features = [], {}
    for name, annotation in annotations.items():
        inner, nullable = _strip_none(annotation)
        arrow_type, features[name] = _column_type(inner)
        if named := bool(class_names) and name in CLASSES:
            features[name] = {"names": list(class_names), "_type": "ClassLabel"}
        nullable |= named or arrow_type == IMAGE  # of other columns `datasets` takes what Arrow says, not the feature
        fields.append(pa.field(name, arrow_type, nullable=nullable))
    metadata = {
        VERSION_KEY: str(version).encode(),
        FEATURES_KEY: json.dumps({"info": {"features": features}}).encode(),
    }
    return pa.schema(fields, metadata=metadata)


def version_of(schema: pa.Schema) -> str:
    """What a file says, "none" where it says nothing."""
    version: bytes = (schema.metadata or {}).get(VERSION_KEY, b"none")
    return version.decode(errors="replace")


def class_names_of(schema: pa.Schema) -> list[str]:
    """The names of the classes that a file gives its labels, none where it gives none that can be read."""
    try:
        features = json.loads((schema.metadata or {})[FEATURES_KEY])["info"]["features"]
        return [str(name) for name in features["label"]["names"]]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []


def _strip_none(annotation: Any) -> tuple[Any, bool]:
    """X | None => (X, True); X => (X, False)."""
    if get_origin(annotation) not in (types.UnionType, Union):
        return annotation, False
    (inner,) = (a for a in get_args(annotation) if a is not types.NoneType)
    return inner, True


def _column_type(annotation: Any) -> tuple[pa.DataType, dict[str, Any]]:
    """The Arrow type and the Hugging Face feature for one annotation."""
    if annotation is np.ndarray:
        return IMAGE, {"_type": "Image"}
    if get_origin(annotation) is list:
        item, feature = _column_type(get_args(annotation)[0])
        return pa.list_(item), {"feature": feature, "_type": "Sequence"}  # newer versions read it as List
    scalar, name = _SCALARS[annotation]
    return scalar, {"dtype": name, "_type": "Value"}
