"""Messages are one line that can be printed, whatever is quoted in them."""

import pytest

from latreg.errors import LatregError, reason


@pytest.mark.parametrize("make", [LatregError, lambda text: LatregError(reason(RuntimeError(text)))])
def test_what_others_say_fits_into_one_line(make):
    message = str(make("Couldn't read:\n\n \x1b[31mtype\x1b[0m \x0e\x00 ä\r\n"))
    assert message.removeprefix("RuntimeError: ") == r"Couldn't read: type \x0e\x00 ä"
