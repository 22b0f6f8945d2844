"""Where the marks of a chart are in its picture, and what they say."""

import io

from latreg.report.marks import Chart, Mark, say


def test_a_mark_is_where_its_point_is_drawn():
    chart = Chart(figsize=(2, 1))
    axes = chart.add_axes((0.25, 0.5, 0.5, 0.25))
    axes.set_ylim(1, 100)
    axes.set_yscale("log")
    say(axes, 1.0, 10.0, "ten")
    axes.set_xlim(0, 1)
    chart.savefig(io.BytesIO(), dpi=160)
    assert chart.marks() == [Mark(75.0, 37.5, "ten")]
