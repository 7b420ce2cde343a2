"""Root-cause analysis on public labelled incidents, beside simple baselines run in the same process.

    python -m benchmarks.rca --data DIR [-o json]

DIR holds `rca_nezha` and `rca_petshop`; a set that is not there is left out. Every method gets the same
readings, the same fault-free reference and the same onset; only the scorer reads the labels. Entities that
a method does not name follow in a random order that is fixed per case.
"""

from __future__ import annotations

import argparse
import random
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aiops_cli.analysis.observations import Observations
from aiops_cli.analysis.rca import analyze
from benchmarks.rca_data import Case, nezha_case, nezha_cases, petshop_case, petshop_cases, truth
from benchmarks.results import Result, print_json, print_table

Method = Callable[[Case], list[str]]
CODE_FAULTS = ("return", "exception")
PUBLISHED = (
    ("rca_nezha", "OB", "Nezha (published)", {"AC@1": 0.93, "AC@3": 0.96}),
    ("rca_nezha", "OB", "PDiagnose (published)", {"AC@1": 0.41, "AC@3": 0.73}),
    ("rca_nezha", "OB", "MicroRank (published)", {"AC@1": 0.41, "AC@3": 0.48}),
    ("rca_nezha", "OB", "MicroRCA (published)", {"AC@1": 0.16, "AC@3": 0.63}),
    ("rca_nezha", "TT", "Nezha (published)", {"AC@1": 0.87, "AC@3": 0.98}),
    ("rca_nezha", "TT", "PDiagnose (published)", {"AC@1": 0.09, "AC@3": 0.13}),
    ("rca_nezha", "TT", "MicroRank (published)", {"AC@1": 0.16, "AC@3": 0.24}),
    ("rca_nezha", "TT", "MicroRCA (published)", {"AC@1": 0.20, "AC@3": 0.31}),
)
NOTES = (
    "published: Nezha (Yu et al., FSE 2023) on the full data set, of which these cases are a part.",
    "code, resource: faults inside the program (return, exception) apart from CPU and network faults.",
)


def aiops(case: Case) -> list[str]:
    """Ours, with the defaults that ship."""
    return [cause.entity.name for cause in analyze(case.observations, limit=len(case.candidates) + 100)]


def nothing(case: Case) -> list[str]:
    """Names nobody: the random order alone."""
    return []


def _scored(obs: Observations, score: Callable[[np.ndarray, np.ndarray], float]) -> list[str]:
    """Services by their highest column score; `score` takes reference and abnormal values of a column."""
    reference = {(i.entity, i.name): i.series.values for i in obs.reference}
    best: dict[str, float] = defaultdict(lambda: -np.inf)
    for indicator in obs.indicators:
        values, times = indicator.series.values, indicator.series.timestamps
        usual = reference.get((indicator.entity, indicator.name), values[times < obs.at])
        usual, now = usual[np.isfinite(usual)], values[(times >= obs.at) & np.isfinite(values)]
        if usual.size < 2 or not now.size or indicator.entity.kind != "service":
            continue
        best[indicator.entity.name] = max(best[indicator.entity.name], score(usual, now))
    return sorted(best, key=lambda name: (-best[name], name))


def n_sigma(case: Case) -> list[str]:
    """The largest z-score of any metric (Lin et al., Microscope, 2018; as in Pham et al., 2024)."""
    return _scored(case.observations, lambda u, now: float(np.abs(now - u.mean()).max() / (u.std() or 1.0)))


def baro(case: Case) -> list[str]:
    """BARO's RobustScorer (Pham et al., FSE 2024): the largest distance from the median in units of IQR."""

    def score(usual: np.ndarray, now: np.ndarray) -> float:
        low, mid, high = np.percentile(usual, (25, 50, 75))
        return float(((now - mid) / ((high - low) or 1.0)).max())

    return _scored(case.observations, score)


def cpu_rule(case: Case) -> list[str]:
    """The service whose CPU use rose most, in robust deviations."""
    obs = case.observations
    only = Observations(
        window=obs.window,
        at=obs.at,
        indicators=[i for i in obs.indicators if i.name == "cpu"],
        reference=[i for i in obs.reference if i.name == "cpu"],
    )

    def score(usual: np.ndarray, now: np.ndarray) -> float:
        mid = float(np.median(usual))
        return float((now.max() - mid) / max(1.4826 * float(np.median(np.abs(usual - mid))), 0.5))

    return _scored(only, score)


def traversal(case: Case) -> list[str]:
    """From the failing SLO down the call graph along nodes whose own metric of that kind is anomalous (3
    sigmas); the deepest first (after MonitorRank and the PetShop paper's baseline)."""
    obs = case.observations
    alert = obs.alerts[0]
    kind, start = alert.labels["slo"], alert.labels["service"]
    reference = {i.entity.name: i.series.values for i in obs.reference if i.name == kind}
    deviation = {}
    for indicator in obs.indicators:
        usual = reference.get(indicator.entity.name)
        if indicator.name != kind or usual is None or not np.isfinite(usual).any():
            continue
        now = indicator.series.values[indicator.series.timestamps >= obs.at - 300]
        off = (now - np.nanmean(usual)) / max(float(np.nanstd(usual)), 1e-3)
        off = off if kind == "latency" else -off
        deviation[indicator.entity.name] = float(np.nanmax(off)) if np.isfinite(off).any() else 0.0
    depth, frontier = {start: 0}, [start]
    while frontier:
        here = frontier.pop(0)
        for caller, callee in obs.edges:
            if caller.name == here and callee.name not in depth and deviation.get(callee.name, 0) > 3:
                depth[callee.name] = depth[here] + 1
                frontier.append(callee.name)
    return sorted(depth, key=lambda name: (-depth[name], -deviation.get(name, 0.0), name))


SETS: dict[str, tuple[Callable[[Path], list[str]], Callable[[Path, str], Case], dict[str, Method]]] = {
    "rca_nezha": (
        nezha_cases,
        nezha_case,
        {"aiops": aiops, "random": nothing, "N-Sigma": n_sigma, "BARO scorer": baro, "CPU rule": cpu_rule},
    ),
    "rca_petshop": (
        petshop_cases,
        petshop_case,
        {"aiops": aiops, "random": nothing, "N-Sigma": n_sigma, "BARO scorer": baro, "traversal": traversal},
    ),
}


def place(case: Case, named: list[str], root_cause: str) -> int:
    """The 1-based place of the truth among the candidates, unnamed ones behind in a random order."""
    candidates = set(case.candidates)
    order = [name for name in dict.fromkeys(named) if name in candidates]
    rest = sorted(candidates - set(order))
    random.Random(zlib.crc32(case.id.encode())).shuffle(rest)
    order += rest
    return order.index(root_cause) + 1 if root_cause in candidates else len(order) + 1


def run(name: str, root: Path) -> tuple[list[Result], list[Result]]:
    """The results of one set, and those by kind of fault."""
    list_cases, load, methods = SETS[name]
    labels = truth(root)
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    finer: dict[tuple[str, str], list[int]] = defaultdict(list)
    seconds: dict[str, float] = defaultdict(float)
    cases = list_cases(root)
    load(root, cases[0])  # the shared reference is read once, as a live system would keep it
    for case_id in cases:
        for method, rank in methods.items():
            started = time.perf_counter()
            case = load(root, case_id)
            named = rank(case)
            seconds[method] += time.perf_counter() - started
            label = labels[case_id]
            at = place(case, named, label.root_cause)
            places[case.group, method].append(at)
            places["all", method].append(at)
            if name == "rca_nezha":
                kind = "code" if label.fault in CODE_FAULTS else "resource"
                finer[f"{case.group} {kind}", method].append(at)
    per_case = {method: total / len(cases) for method, total in seconds.items()}
    return _results(name, places, per_case), _results(name, finer, per_case)


def _results(name: str, places: dict[tuple[str, str], list[int]], per_case: dict[str, float]) -> list[Result]:
    results = []
    for (group, method), found in sorted(places.items(), key=lambda item: item[0][0]):
        share = {k: sum(p <= k for p in found) / len(found) for k in range(1, 6)}
        metrics = {"AC@1": share[1], "AC@3": share[3], "AC@5": share[5], "Avg@5": sum(share.values()) / 5}
        if name == "rca_petshop":
            metrics = {"top-1": share[1], "top-3": share[3]}
        results += [
            Result(name, group, method, metric, value, len(found), per_case[method])
            for metric, value in metrics.items()
        ]
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rca", description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder that holds rca_nezha, rca_petshop")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    present = [name for name in SETS if (options.data / name).is_dir()]
    if not present:
        parser.error(f"{options.data} holds none of {', '.join(SETS)}")
    results: list[Result] = []
    for name in present:
        main_results, finer = run(name, options.data / name)
        results += main_results
        if options.output == "table":
            results += finer
            results += [
                Result(name, group, method, metric, value, 0, 0.0)
                for set_name, group, method, metrics in PUBLISHED
                if set_name == name
                for metric, value in metrics.items()
            ]
    if options.output == "json":
        print_json("rca", results)
    else:
        print_table(results, NOTES)


if __name__ == "__main__":
    main()
