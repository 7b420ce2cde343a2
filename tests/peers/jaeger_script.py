"""What a person writes where there is no CLI: Jaeger's JSON API by urllib, a summary as JSON.

python jaeger_script.py search URL service=checkout limit=20 start=… end=…   [id, spans, errors, root]
python jaeger_script.py show URL TRACE_ID                                    [span id, service, name]
python jaeger_script.py services URL
python jaeger_script.py operations URL SERVICE
"""

import json
import sys
import urllib.parse
import urllib.request


def get(url, **params):
    asked = f"{url}?{urllib.parse.urlencode(params)}" if params else url
    with urllib.request.urlopen(asked) as reply:
        return json.load(reply)["data"]


def failed(span):
    return any(tag["key"] == "error" and tag["value"] in (True, "true") for tag in span["tags"])


def summary(trace):
    spans = trace["spans"]
    ids = {span["spanID"] for span in spans}
    root = next(s for s in spans if not any(r["spanID"] in ids for r in s["references"]))
    return [trace["traceID"], len(spans), sum(map(failed, spans)), root["operationName"]]


verb, url, *rest = sys.argv[1:]
if verb == "search":
    found = get(f"{url}/api/traces", **dict(pair.split("=", 1) for pair in rest))
    print(json.dumps([summary(trace) for trace in found]))
elif verb == "show":
    (trace,) = get(f"{url}/api/traces/{rest[0]}")
    services = {key: process["serviceName"] for key, process in trace["processes"].items()}
    rows = [[s["spanID"], services[s["processID"]], s["operationName"]] for s in trace["spans"]]
    print(json.dumps(rows))
elif verb == "services":
    print(json.dumps(get(f"{url}/api/services")))
else:
    print(json.dumps(get(f"{url}/api/services/{rest[0]}/operations")))
