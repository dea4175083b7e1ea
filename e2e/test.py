#!/usr/bin/env python3
"""`make test`: everything there is, on a fresh clone, ending with the line "N passed, M failed".

Each step says what it does and how long it took; its output is in build/test-logs/. A failed step
shows the end of its log, and the others still run. `e2e/test.py STEP…` runs only those steps.

Tests wait more than they compute, so they run one after the other beside the next builds; the
scenarios on the cluster come last, alone.

Cases are counted from what GoogleTest and unittest report; a check without cases counts as one.

A test program that fails beside the builds runs once more when nothing else does. What passes then
is counted as passed and named as unsteady, with what it said the first time: it is a fault of the
test or of the product, to be found. A sanitizer's report, a crash and a time-out are never run again.
"""
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build" / "test-logs"
RELEASE = "build/release"
JOBS = str(os.cpu_count() or 2)
CACHE = os.environ.get("LANEKEEPER_CACHE") or os.path.join(
    os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "lanekeeper")
os.environ["LANEKEEPER_CACHE"] = CACHE
os.environ["PATH"] = os.path.join(CACHE, "bin") + os.pathsep + os.environ["PATH"]
STEP_SECONDS_MAX = 3000
# Enough for a readable stack. Unity: a header is read once for eight files, not for each; that every
# file includes what it uses is seen by the release build.
SANITIZER_OPTIONS = ["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_UNITY_BUILD=ON"]
# Checks in code that is not optimised are quick to compile; those of threads slow the code down most.
ASAN_OPTIONS = [*SANITIZER_OPTIONS, "-DCMAKE_CXX_FLAGS_DEBUG=-O0 -g1",
                "-DLANEKEEPER_SANITIZE=address,undefined"]
TSAN_OPTIONS = [*SANITIZER_OPTIONS, "-DCMAKE_CXX_FLAGS_DEBUG=-O1 -g1", "-DLANEKEEPER_SANITIZE=thread"]

# More of one step that fail together have one cause, which time does not mend.
AGAIN_MAX = 3
SANITIZER_REPORT = re.compile(r"Sanitizer: |runtime error: ")

passed = 0
failed = []
unsteady = []
again = []  # (step, build folder, reports, labels) of programs that are to run once more.
counting = threading.Lock()
started = time.monotonic()
beside = concurrent.futures.ThreadPoolExecutor(max_workers=1)
running_beside = []


def say(text):
    print(f"[{int(time.monotonic() - started):5d} s] {text}", flush=True)


def start(name, command, **environment):
    log = open(LOGS / f"{name}.log", "w", encoding="utf-8")
    return subprocess.Popen(command, shell=isinstance(command, str), cwd=ROOT, stdout=log,
                            stderr=subprocess.STDOUT, env={**os.environ, **environment})


def finish(name, process):
    try:
        status = process.wait(timeout=STEP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        status = "timeout"
    if status != 0:
        text = (LOGS / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        say(f"FAILED {name} (exit {status}); the end of build/test-logs/{name}.log:")
        print("\n".join(text.splitlines()[-60:]), flush=True)
    return status == 0


def run(name, what, command, **environment):
    say(what)
    return finish(name, start(name, command, **environment))


def count(name, ok, cases=None):
    """Adds a step to the totals: its cases (passed, failed), or the step itself as one."""
    global passed
    good, bad = cases or (0, 0)
    if good + bad == 0:
        good, bad = (1, 0) if ok else (0, 1)
    elif not ok and bad == 0:
        bad = 1  # It failed outside of its cases: a crash, a sanitizer's report, a time-out.
    with counting:
        passed += good
        failed.extend([name] * bad)
    say(f"{name}: {good} passed, {bad} failed")
    return bad == 0


def gtest_report(path):
    """None: the program ended before it wrote it."""
    try:
        return xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return None


def gtest_cases(folder):
    good = bad = 0
    for path in folder.glob("*.xml"):
        root = gtest_report(path)
        if root is None:
            continue
        tests, failures = int(root.get("tests", 0)), int(root.get("failures", 0))
        errors, disabled = int(root.get("errors", 0)), int(root.get("disabled", 0))
        bad += failures + errors
        good += tests - failures - errors - disabled
    return good, bad


def failed_cases(path):
    """"Suite.Case: what it said" of each case that failed, by one program's report."""
    root = gtest_report(path)
    if root is None:
        return []
    return [f"{case.get('classname')}.{case.get('name')}: {failure.get('message', '').strip()[:600]}"
            for case in root.iter("testcase") for failure in case.iter("failure")]


def failed_programs(build):
    path = ROOT / build / "Testing" / "Temporary" / "LastTestsFailed.log"
    return re.findall(r"^\d+:(\S+)", path.read_text(encoding="utf-8"), re.M) if path.exists() else []


def ctest(name, build, labels):
    reports = LOGS / f"{name}-reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    ok = run(name, f"tests: {labels} in {build}",
             ["ctest", "--test-dir", build, "-L", labels, "--output-on-failure", "--timeout", "600",
              "--no-tests=error"], GTEST_OUTPUT=f"xml:{reports}/")
    if ok:
        return count(name, ok, gtest_cases(reports))
    programs = failed_programs(build)
    cases = {program: failed_cases(reports / f"{program}.xml") for program in programs}
    for program in programs:
        print("\n".join([f"{name}: {program}:", *(cases[program] or ["ended without a report"])]), flush=True)
    output = (LOGS / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    if 0 < len(programs) <= AGAIN_MAX and all(cases.values()) and not SANITIZER_REPORT.search(output):
        again.append((name, build, reports, cases))
        return False  # Counted when it has run again.
    return count(name, ok, gtest_cases(reports))


def run_again():
    """Once more, and alone, what failed beside the builds."""
    for name, build, reports, cases in again:
        programs = "|".join(re.escape(program) for program in cases)
        steady = run(f"{name}-again", f"once more, alone: {', '.join(cases)} in {build}",
                     ["ctest", "--test-dir", build, "-R", f"^({programs})$", "--output-on-failure",
                      "--timeout", "600", "--no-tests=error"], GTEST_OUTPUT=f"xml:{reports}/")
        if steady:
            unsteady.extend(f"{name}: {case}" for said in cases.values() for case in said)
        count(name, steady, gtest_cases(reports))
    again.clear()


def unittest_cases(log):
    text = (LOGS / f"{log}.log").read_text(encoding="utf-8", errors="replace")
    ran = re.search(r"^Ran (\d+) tests?", text, re.M)
    if not ran:
        return None
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", text))
    return int(ran.group(1)) - bad, bad


def scripted(name, what, command):
    """Scenarios in Python, counted by what unittest reports."""
    return count(name, run(name, what, command), unittest_cases(name))


def build(name, folder, *options, target="all"):
    ok = run(f"configure-{name}", f"configuring {folder}",
             ["cmake", "-G", "Ninja", "-S", ".", "-B", folder, "-DLANEKEEPER_WERROR=ON", *options])
    ok = ok and run(f"build-{name}", f"building {folder} (warnings are errors)",
                    ["cmake", "--build", folder, "-j", JOBS, "--target", target])
    return count(f"build-{name}", ok)


def run_beside(work, *arguments):
    """Runs it after the others that run beside the builds; wait_beside() waits for all of them."""
    running_beside.append(beside.submit(work, *arguments))


def wait_beside():
    while running_beside:
        running_beside.pop().result()


def step_release():
    return build("release", RELEASE, "-DCMAKE_BUILD_TYPE=Release")


def step_style():
    sources = "git ls-files -co --exclude-standard '*.h' '*.cpp'"
    count("format", run("format", "clang-format",
                        f"{sources} | xargs clang-format-14 --dry-run --Werror"))
    count("layering", run("layering", "layering of the rooms",
                          "python3 cmake/layering_test.py --self && python3 cmake/layering_test.py ."))


def step_tidy():
    pattern = r"/(operator|worker-runtime|e2e|cli)/(?!.*_test\.cpp$).*\.cpp$"
    count("tidy", run("tidy", "clang-tidy",
                      ["run-clang-tidy-14", "-quiet", "-p", RELEASE, "-j", JOBS,
                       "-extra-arg=-Wno-unknown-warning-option", pattern]))


def step_tests():
    ctest("tests", RELEASE, "unit|nats|apiserver")


def sanitized(name, options):
    if build(name, f"build/{name}", *options, target="unit_and_nats_tests"):
        run_beside(ctest, name, f"build/{name}", "unit|nats")


def step_asan():
    sanitized("asan", ASAN_OPTIONS)


def step_tsan():
    sanitized("tsan", TSAN_OPTIONS)


def step_crd():
    folder = LOGS / "crd-api-server"
    shutil.rmtree(folder, ignore_errors=True)
    ok = run("crd-up", "a real API server for the manifests",
             ["e2e/cluster/cluster.sh", "api-up", str(folder)])
    ok = ok and run("crd", "good and bad manifests against the API server",
                    ["python3", "crds/crd_test.py", "--kubeconfig", str(folder / "kubeconfig")])
    count("crd", ok, unittest_cases("crd") if (LOGS / "crd.log").exists() else None)
    run("crd-down", "API server down", ["e2e/cluster/cluster.sh", "api-down", str(folder)])


def step_chart():
    folder = LOGS / "chart-api-server"
    shutil.rmtree(folder, ignore_errors=True)
    ok = run("install-helm", "helm (pinned, cached; minutes the first time)", ["e2e/tools/install.sh", "helm"])
    ok = ok and run("chart-up", "a real API server for the chart",
                    ["e2e/cluster/cluster.sh", "api-up", str(folder)])
    ok = ok and run("chart", "the chart: rendered, refused, installed on the API server",
                    ["python3", "charts/chart_test.py", "--kubeconfig", str(folder / "kubeconfig")])
    count("chart", ok, unittest_cases("chart") if (LOGS / "chart.log").exists() else None)
    run("chart-down", "API server down", ["e2e/cluster/cluster.sh", "api-down", str(folder)])


def step_e2e():
    reports = LOGS / "e2e-reports"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    up = ("e2e/tools/install.sh helm && e2e/cluster/cluster.sh up && e2e/cluster/cluster.sh nats-up && "
          f"e2e/cluster/cluster.sh images {RELEASE} && e2e/cluster/cluster.sh example-images {RELEASE}")
    ok = run("e2e-up", "one-node Kubernetes, images", up)
    # What is installed by hand in the scenarios after it is installed by helm here.
    ok = ok and scripted("e2e-chart", "the chart on the cluster: installed, upgraded under load, removed",
                         ["python3", "e2e/chart_scenarios.py", "--manifests", str(LOGS / "chart-manifests.yaml")])
    ok = ok and scripted("e2e-nats", "the chart and NATS: tenants, certificates, the bundled server",
                         ["python3", "e2e/nats_scenarios.py"])
    ok = run("e2e-deploy", "operator and gateway", ["e2e/cluster/cluster.sh", "deploy"]) and ok
    scripted("e2e-security", "what tries to get at what is not its own", ["python3", "e2e/security_scenarios.py"])
    ok = run("e2e", "scenarios on the cluster", [f"{RELEASE}/bin/lanekeeper-scenarios"],
             GTEST_OUTPUT=f"xml:{reports}/") and ok
    count("e2e", ok, gtest_cases(reports))
    if "E2E_KUBECONFIG" not in os.environ:  # Else the audit log is somewhere else.
        count("e2e-privileges", run(
            "e2e-privileges", "the roles against what was asked in all of these",
            "python3 charts/privileges.py $(e2e/cluster/cluster.sh audit | sed 's/^/--audit /') "
            f"--manifests e2e/cluster/manifests/lanekeeper.yaml {LOGS}/chart-manifests.yaml"))
    tutorial = ok and run("tutorial", "the tutorial's part on Kubernetes",
                                'eval "$(e2e/cluster/cluster.sh env)" && '
                                f"python3 e2e/tutorial_test.py --kubernetes --programs {RELEASE}/bin")
    count("tutorial", tutorial, unittest_cases("tutorial") if (LOGS / "tutorial.log").exists() else None)
    down = run("e2e-down", "cluster down",
               "e2e/cluster/cluster.sh nats-down; e2e/cluster/cluster.sh down")
    count("e2e-down", down)


STEPS = {"style": step_style, "release": step_release, "tests": step_tests, "crd": step_crd,
         "chart": step_chart, "asan": step_asan, "tsan": step_tsan, "tidy": step_tidy, "e2e": step_e2e}
BESIDE = {"tests", "crd", "chart"}
ON_KUBERNETES = BESIDE | {"e2e"}


def installed(cluster):
    if not finish("install-cluster", cluster):
        count("install-cluster", False)


def main():
    wanted = sys.argv[1:] or list(STEPS)
    unknown = [step for step in wanted if step not in STEPS]
    if unknown:
        sys.exit(f"no step {unknown[0]}; there are: {' '.join(STEPS)}")
    LOGS.mkdir(parents=True, exist_ok=True)
    ready = run("install-nats", "nats-server (pinned, cached)", ["e2e/tools/install.sh", "nats"])
    cluster = None
    if ON_KUBERNETES & set(wanted):
        say("Kubernetes and etcd (pinned, cached; minutes the first time), beside the build")
        cluster = start("install-cluster", ["e2e/tools/install.sh", "cluster"])
    if not ready:
        count("install-nats", False)
    for step in wanted:
        if cluster is not None and step in ON_KUBERNETES:
            run_beside(installed, cluster)
            cluster = None
        if step in BESIDE:
            run_beside(STEPS[step])
            continue
        if step == "e2e":
            wait_beside()
            run_again()
        STEPS[step]()
    wait_beside()
    run_again()
    if failed:
        say("failed: " + ", ".join(sorted(set(failed))))
    if unsteady:
        say("unsteady (failed beside the builds, passed alone):")
        print("\n".join(unsteady), flush=True)
    print(f"{passed} passed, {len(failed)} failed" + (f", {len(unsteady)} unsteady" if unsteady else ""),
          flush=True)
    return 1 if failed or passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
