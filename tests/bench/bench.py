"""What the benchmarks in Python share: they print what bench.h prints."""
import json


def begin(as_json):
    if not as_json:
        print(f"{'':58} {'value':>12} {'unit':5} {'beside':>12} {'ratio':>8} {'aim':>8}")


def print_row(as_json, name, unit, value, beside, aim, aim_is, spread=None, cores=1, x=None):
    """aim: None for none; aim_is: "at least" or "at most". spread: the least and the largest ratio of a round. x: where the
    row stands in a picture."""
    ratio = value / beside
    met = None if aim is None else ratio >= aim if aim_is == "at least" else ratio <= aim
    if as_json:
        row = {"name": name, "value": value, "unit": unit, "beside": beside, "ratio": ratio}
        if spread:
            row.update(low=spread[0], high=spread[1])
        if x is not None:
            row["x"] = x
        if cores != 1:
            row["cores"] = cores
        print(json.dumps(row | {"aim": aim, "aim_is": aim_is if aim is not None else None, "met": met}), flush=True)
        return
    line = f"{name:58} {value:12.4g} {unit:5} {beside:12.4g} {ratio:8.3f}"
    if aim is not None:
        line += f" {'>=' if aim_is == 'at least' else '<='}{aim:6g}{'' if met else '  missed'}"
    print(line + (f"  [{spread[0]:.3f} {spread[1]:.3f}]" if spread else ""), flush=True)
