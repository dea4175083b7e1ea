#!/usr/bin/env python3
"""The tutorial of README.md, run as it stands.

    tutorial_test.py --programs build/release/bin      on this machine, with `lanekeeper up`
    tutorial_test.py --kubernetes                      on the cluster of $KUBECONFIG

Every ```sh block of the tutorial is run by bash -e, word for word, in the order of the page. One that
starts `lanekeeper up` is the first terminal: it goes on while the others run, and then gets the Ctrl-C.
Two things are stood in for: `make local`, by the programs that are built; and `helm upgrade --install`, by
`helm template` with the same arguments, because the release is on the cluster already (cluster.sh deploy).
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEADLINE_SECONDS = 300  # Of one step; only what is broken reaches it.
LINKED = ("charts", "crds", "e2e", "README.md", "worker-runtime")

options = argparse.Namespace(programs=None, kubernetes=False)


def blocks(text, part):
    """The sh blocks of a part ("### …") of the tutorial."""
    tutorial = re.search(r"^## Tutorial$(.*?)(?=^## |\Z)", text, re.M | re.S)
    if tutorial is None:
        raise AssertionError("README.md has no section Tutorial")
    section = re.search(rf"^### {re.escape(part)}$(.*?)(?=^### |\Z)", tutorial.group(1), re.M | re.S)
    if section is None:
        raise AssertionError(f"the tutorial has no part {part}")
    return re.findall(r"^```sh\n(.*?)^```$", section.group(1), re.M | re.S)


def starts_up(block):
    return re.search(r"^lanekeeper up\b", block, re.M) is not None


class TutorialTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="lanekeeper-tutorial-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        for name in LINKED:
            (self.folder / name).symlink_to(ROOT / name)
        self.tools = self.folder / ".tools"
        self.tools.mkdir()

    def stand_in(self, name, script):
        path = self.tools / name
        path.write_text(f"#!/bin/bash\nset -e\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    def environment(self):
        return {**os.environ, "PATH": f"{self.tools}{os.pathsep}{os.environ['PATH']}"}

    def bash(self, script, environment):
        print(f"--- {script}", flush=True)
        done = subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=self.folder, env=environment,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE_SECONDS)
        print(done.stdout, flush=True)
        self.assertEqual(done.returncode, 0, script)
        return done.stdout

    def until(self, what, holds):
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            time.sleep(0.05)


class LocalTest(TutorialTest):
    def environment(self):
        environment = super().environment()
        # Else the commands would ask that cluster, or that gateway.
        for name in ("KUBECONFIG", "LANEKEEPER_GATEWAY"):
            environment.pop(name, None)
        environment["HOME"] = str(self.folder)  # Without ~/.kube.
        environment.setdefault("LANEKEEPER_CACHE", str(pathlib.Path.home() / ".cache" / "lanekeeper"))
        return environment

    def test_on_this_machine(self):
        programs = pathlib.Path(options.programs).resolve()
        self.assertIn("local:", (ROOT / "Makefile").read_text(encoding="utf-8"))
        self.stand_in("make", f'[ "$*" = local ]\nmkdir -p build/release\nln -sfn "{programs}" build/release/bin')
        text = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "On this machine")
        first = [block for block in text if starts_up(block)]
        self.assertEqual(len(first), 1, "one block starts lanekeeper up")
        others = text[text.index(first[0]) + 1:]
        self.assertEqual(len(others) + 1, len(text), "lanekeeper up comes first")

        environment = self.environment()
        log = open(self.folder / "up.log", "w+", encoding="utf-8")
        self.addCleanup(log.close)
        up = subprocess.Popen(["bash", "-e", "-c", first[0]], cwd=self.folder, env=environment, stdout=log,
                              stderr=subprocess.STDOUT, start_new_session=True)
        self.addCleanup(self.end, up, log)
        gateway = self.folder / ".lanekeeper" / "gateway"
        self.until("the gateway", lambda: gateway.exists() or up.poll() is not None)
        self.assertIsNone(up.poll(), "lanekeeper up has ended")
        # One terminal: what a block exports holds for those that follow.
        said = self.bash("\n".join(others), environment)
        self.check(said, {**environment, "PATH": f"{programs}{os.pathsep}{environment['PATH']}"})
        os.killpg(up.pid, signal.SIGINT)
        self.assertEqual(up.wait(timeout=DEADLINE_SECONDS), 0)
        self.assertFalse(gateway.exists())

    def check(self, said, environment):
        """That what the page promises is what came out."""
        self.assertRegex(said, r"\d+ words")
        self.assertIn("no such file", said)
        pool = ["lanekeeper", "jobs", "list", "files", "-o", "json"]

        def ended():
            jobs = json.loads(subprocess.check_output(pool, cwd=self.folder, env=environment, timeout=DEADLINE_SECONDS))
            self.assertGreaterEqual(len(jobs), 2, jobs)
            return {job["state"] for job in jobs} == {"done"}
        # The page does not wait for those it hands in without --wait, nor for the one it sends again.
        self.until("every job to be done", ended)

    def end(self, up, log):
        if up.poll() is None:
            os.killpg(up.pid, signal.SIGKILL)
            up.wait()
        log.seek(0)
        print(f"--- lanekeeper up said:\n{log.read()}", flush=True)


class KubernetesTest(TutorialTest):
    def test_on_kubernetes(self):
        helm = shutil.which("helm")
        self.assertIsNotNone(helm, "helm is not on PATH: e2e/tools/install.sh helm")
        self.stand_in("helm", f'[ "$1 $2" = "upgrade --install" ]\nshift 2\n'
                              f'"{helm}" template "$@" > /dev/null\necho "rendered: helm upgrade --install $*"')
        environment = self.environment()
        if options.programs:
            environment["PATH"] = f"{pathlib.Path(options.programs).resolve()}{os.pathsep}{environment['PATH']}"
        self.addCleanup(subprocess.run, ["kubectl", "delete", "workerpool", "files", "-n", "studio",
                                         "--ignore-not-found", "--timeout=120s"], env=environment, check=False)
        self.addCleanup(subprocess.run, ["kubectl", "delete", "rolebinding", "lanekeeper-cli", "-n", "studio",
                                         "--ignore-not-found"], env=environment, check=False)
        text = blocks((ROOT / "README.md").read_text(encoding="utf-8"), "On Kubernetes")
        self.assertTrue(text)
        said = self.bash("\n".join(text), environment)
        self.assertRegex(said, r"\d+ words")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", help="folder of the built programs")
    parser.add_argument("--kubernetes", action="store_true", help="the part on Kubernetes")
    parser.parse_args(namespace=options)
    if not options.kubernetes and not options.programs:
        parser.error("--programs is needed")
    case = KubernetesTest if options.kubernetes else LocalTest
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(case)
    return 0 if unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
