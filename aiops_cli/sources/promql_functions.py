"""The functions of PromQL (https://prometheus.io/docs/prometheus/latest/querying/functions/), for misspelt ones."""

from __future__ import annotations

import re

_NAMES = """
abs absent absent_over_time acos acosh asin asinh atan atanh avg_over_time ceil changes clamp clamp_max
clamp_min cos cosh count_over_time day_of_month day_of_week day_of_year days_in_month deg delta deriv
double_exponential_smoothing exp first_over_time floor histogram_avg histogram_count histogram_fraction
histogram_quantile histogram_stddev histogram_stdvar histogram_sum holt_winters hour idelta increase info irate
label_join label_replace last_over_time ln log10 log2 mad_over_time max_over_time min_over_time minute month pi
predict_linear present_over_time quantile_over_time rad rate resets round scalar sgn sin sinh sort sort_by_label
sort_by_label_desc sort_desc sqrt stddev_over_time stdvar_over_time sum_over_time tan tanh time timestamp vector
year avg bottomk count count_values group limitk limit_ratio max min quantile stddev stdvar sum topk
"""
_UNKNOWN = re.compile(r"""unknown func(?:tion)?(?: with name)? ["']([^"']+)["']""")


def meant(text: str) -> str:
    """`; did you mean rate?` for a message about an unknown function whose name is near to one; else ""."""
    import difflib

    found = _UNKNOWN.search(text)
    near = difflib.get_close_matches(found[1], _NAMES.split(), n=1) if found else []
    return f"; did you mean {near[0]}?" if near else ""
