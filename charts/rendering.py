"""What helm makes of the chart, and what else is made from its files. For chart_test.py."""
import functools
import re
import subprocess
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CHART = HERE / "lanekeeper"
TESTDATA = HERE / "testdata"
RUNBOOK = HERE / "README.md"
COPIES = {ROOT / "crds/workerpools.yaml": CHART / "files/workerpools.yaml",
          HERE / "policies/gpu-fence.yaml": CHART / "files/gpu-fence.yaml",
          HERE / "policies/pod-baseline.yaml": CHART / "files/pod-baseline.yaml"}
CASES = sorted(path.name.removesuffix(".values.yaml") for path in TESTDATA.glob("*.values.yaml"))
RELEASE, NAMESPACE = "media", "lanekeeper-system"
E2E_VALUES, E2E_MANIFESTS = ROOT / "e2e/cluster/values.yaml", ROOT / "e2e/cluster/manifests/lanekeeper.yaml"
TABLE_BEGIN, TABLE_END = "<!-- values: chart_test.py --update -->\n", "<!-- end of values -->\n"
FIX = "; python3 charts/chart_test.py --update writes it"


# --- What is rendered.

def run(*command, stdin=None):
    return subprocess.run(list(map(str, command)), input=stdin, capture_output=True, text=True,
                          timeout=120)


def must(*command, stdin=None):
    done = run(*command, stdin=stdin)
    if done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stderr.strip()}{done.stdout.strip()}")
    return done.stdout


def render(values, release=RELEASE, namespace=NAMESPACE):
    """What helm makes of a file of values, or of values as an object."""
    if isinstance(values, Path):
        return must("helm", "template", release, CHART, "--namespace", namespace, "--values", values)
    return must("helm", "template", release, CHART, "--namespace", namespace, "--values", "-",
                stdin=yaml.safe_dump(values))


@functools.cache
def rendered(case, release=RELEASE, namespace=NAMESPACE):
    return render(TESTDATA / f"{case}.values.yaml", release, namespace)


def objects(text):
    return [one for one in yaml.safe_load_all(text) if one]


def merged(base, over):
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


def golden_of(case):
    """As rendered, but for the CRD: it has a test of its own and would be most of every file."""
    parts = [part.strip("\n") for part in re.split(r"(?m)^---\n", rendered(case))]
    kept = [part for part in parts if part and "\nkind: CustomResourceDefinition\n" not in part]
    return "\n---\n".join(kept) + "\n"


def e2e_manifests():
    """What the scenarios of e2e/ run on: what is tested is what is shipped."""
    return ("# Made by charts/chart_test.py --update from charts/lanekeeper and e2e/cluster/values.yaml.\n" +
            must("helm", "template", "lanekeeper", CHART, "--namespace", NAMESPACE, "--values", E2E_VALUES,
                 "--skip-tests"))


def pod_specs(case):
    """Every pod that the chart runs: (name, spec)."""
    for one in objects(rendered(case)):
        if one["kind"] in ("Deployment", "StatefulSet"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
        elif one["kind"] == "Pod":
            yield one["metadata"]["name"], one["spec"]


# --- values.yaml as a table. One value is one line, its meaning the comment above it.

def value_rows():
    rows, path, comment = [], [], []
    for line in (CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if not text:
            comment = []
        elif text.startswith("#"):
            comment.append(text.removeprefix("#").strip())
        else:
            key, _, value = text.partition(":")
            depth = (len(line) - len(line.lstrip())) // 2
            path = path[:depth] + [key]
            if value.strip():
                rows.append((".".join(path), value.strip(), " ".join(comment)))
            comment = []
    return rows


def values_table():
    lines = ["| value | default | meaning |", "|---|---|---|"]
    lines += [f"| `{name}` | `{value}` | {meaning} |" for name, value, meaning in value_rows()]
    return "\n".join(lines) + "\n"


def with_table(readme):
    before, _, rest = readme.partition(TABLE_BEGIN)
    _, _, after = rest.partition(TABLE_END)
    return before + TABLE_BEGIN + values_table() + TABLE_END + after


def update():
    for source, copy in COPIES.items():
        copy.write_bytes(source.read_bytes())
    readme = CHART / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
    E2E_MANIFESTS.write_text(e2e_manifests(), encoding="utf-8")
    for case in CASES:
        (TESTDATA / f"{case}.golden.yaml").write_text(golden_of(case), encoding="utf-8")
