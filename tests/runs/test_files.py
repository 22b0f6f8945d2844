import errno
import os

import pytest

from latreg.errors import LatregError
from latreg.runs.files import replacing


def write(path, content, then=lambda: None):
    with replacing(path) as file:
        file.write(content)
        then()


def refuse(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    with replacing(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
        file.write(b" and half")
    assert path.read_bytes() == b"half and half"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write(path, b"old")
    if step != "write":
        monkeypatch.setattr(os, step, refuse)
    with pytest.raises(LatregError, match=r"file must be in a folder .* with free space, but: No space left on device"):
        write(path, b"new", then=refuse if step == "write" else lambda: None)
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    write(tmp_path / "file", b"")
    with pytest.raises(LatregError, match="file/part must be in a folder that can be written"):
        write(tmp_path / "file" / "part", b"")


def test_an_error_of_the_writer_is_left_alone(tmp_path):
    with pytest.raises(KeyError), replacing(tmp_path / "file"):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
