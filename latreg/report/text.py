"""Numbers as people read them. None, which is "not defined" or "not measured", is a dash."""

from latreg.report.rows import Comparison, Numbers, Pair, Raw

DASH = "–"


def number(value: float | None) -> str:
    """Three significant digits, thousands with a comma."""
    if value is None:
        return DASH
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage."""
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def rate(row: Numbers, name: str) -> str:
    """A share with its interval."""
    if row[name] is None:
        return DASH
    return f"{percent(row[name])} ({100 * row[f'{name}_low']:.1f} to {100 * row[f'{name}_high']:.1f})"


def value(row: Numbers, name: str) -> str:
    """A number with its interval; an open end is one that resampling found to be infinite."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    if row[name] is None or low is None:
        return number(row[name])
    return f"{number(row[name])} ({number(low)} to {number(high) if high is not None else '∞'})"


def share(numbers: Numbers, name: str) -> str:
    """A share with its interval, as `latreg.agreement` has them."""
    if numbers[name] is None:
        return DASH
    low, high = numbers[f"{name}_ci95"]
    return f"{percent(numbers[name])} ({100 * low:.1f} to {100 * high:.1f})"


def kept(row: Numbers, kind: str) -> str:
    """What a judge that has no part in the gates says of valid or robust faults; nothing where there is none."""
    share = row.get(f"held_out_rate_of_{kind}")
    return "" if share is None else f" (held-out judge keeps {percent(share)})"


def reached(row: Numbers, name: str) -> str:
    """How many cells of how many."""
    return DASH if row[name] is None or row["cells"] is None else f"{row[name]} of {row['cells']}"


def p_value(p: float | None) -> str:
    """p, as an upper bound where it is very small."""
    if p is None:
        return DASH
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def chosen(study: Raw) -> str:
    """How many of a study's sources were chosen and not drawn; nothing where none were."""
    return f" ({study['chosen']:,} of them of chosen ones)" if study.get("chosen") else ""


def duration(seconds: float) -> str:
    """Hours, of less than one minutes."""
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def truncation_of(pair: Pair) -> str:
    """The truncation of a pair's source, of an adaptive one with the psi: no truncation, psi 0.7, minimal psi 0.8."""
    name = pair.cell.truncation_name
    return f"{name} psi {number(pair.source_psi)}" if pair.cell.psi is None else name


def compared(row: Comparison, side: str) -> str:
    """The value of one side of a comparison, first or second, in its unit."""
    found = row.value_first if side == "first" else row.value_second
    return percent(found) if _of_shares(row) else number(found)


def effect(row: Comparison) -> str:
    """The effect of a comparison with its interval, in its unit."""
    low, high = row.low, row.high
    if _of_shares(row):
        bounds = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
        return f"{100 * row.effect:+.1f} points{bounds}"
    bounds = "" if low is None else f" ({number(low)} to {number(high) if high is not None else '∞'})"
    return f"{'× ' if row.effect_name == 'ratio' else ''}{number(row.effect)}{bounds}"


def _of_shares(row: Comparison) -> bool:
    return row.effect_name in ("difference of rates", "difference of shares")


def counts(row: Comparison) -> str:
    """How many both sides of a comparison have."""
    return f"{row.n_first:,}" if row.n_first == row.n_second else f"{row.n_first:,} and {row.n_second:,}"
